/** How the arrow keys move over cells that stand in rows. */

/** What each cell is known by, row by row; an empty text where there is none. */
export type Cells = readonly (readonly string[])[];

const STEPS = new Map<string, readonly [down: number, right: number]>([
  ['ArrowUp', [-1, 0]],
  ['ArrowDown', [1, 0]],
  ['ArrowLeft', [0, -1]],
  ['ArrowRight', [0, 1]]
]);

/** The cell that a key leads to from `from`; null if the key leads to none. */
export function cellAfter(cells: Cells, from: string, key: string): string | null {
  const row = cells.findIndex(one => one.includes(from));
  const column = cells[row]?.indexOf(from) ?? -1;
  if (key === 'Home' || key === 'End') {
    const given = (cells[row] ?? []).filter(cell => cell !== '');
    return given.at(key === 'Home' ? 0 : -1) ?? null;
  }
  const step = STEPS.get(key);
  if (!step || column < 0) {
    return null;
  }
  const [down, right] = step;
  for (let at = row + down, over = column + right; ; at += down, over += right) {
    const cell = cells[at]?.[over];
    if (cell === undefined || cell !== '') {
      return cell ?? null;
    }
  }
}

/** The cell that is reached first: the newest of the first row that has any. */
export function firstCell(cells: Cells): string | null {
  return cells.map(row => row.filter(cell => cell !== '').at(-1)).find(cell => cell !== undefined) ?? null;
}
