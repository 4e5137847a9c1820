// Shows the fragments that Python made, and tells Python which column and window are chosen.
const WAIT_MS = 800;
const MOST_STEPS = 100; // more than there are windows or columns in the heat map

function render({ model, el }) {
  el.classList.add("tw");
  el.dataset.lmSuppressShortcuts = "true"; // JupyterLab's arrow keys would choose another cell of the notebook
  const parts = new Map();
  const show = () => {
    const fragments = model.get("fragments");
    for (const [name, html] of Object.entries(fragments)) {
      if (!parts.has(name)) {
        const part = document.createElement("div");
        el.append(part);
        parts.set(name, { part, html: "" });
      }
      const kept = parts.get(name);
      if (kept.html === html) continue;
      const focused = kept.part.contains(document.activeElement) && known(document.activeElement);
      kept.part.innerHTML = html;
      kept.html = html;
      if (name === "column") clearTimeout(late);
      if (focused) kept.part.querySelector(focused)?.focus();
    }
    mark();
    shown = `${selected("column")}:${selected("window")}`;
  };
  const known = ({ name, dataset }) =>
    name ? `[name="${name}"]` : dataset.key && `[data-key="${dataset.key}"]`;
  const select = (name) => el.querySelector(`select[name="${name}"]`);
  const selected = (name) => select(name)?.value;
  const cellAt = (column, window) => el.querySelector(`[data-key="${column}:${window}"]`);
  const mark = () => {
    for (const cell of el.querySelectorAll(".chosen")) {
      cell.classList.remove("chosen");
      cell.removeAttribute("aria-pressed");
    }
    const chosen = cellAt(selected("column"), selected("window"));
    chosen?.classList.add("chosen");
    chosen?.setAttribute("aria-pressed", "true");
    reach(chosen ?? el.querySelector("[data-key]"));
  };
  // The Tab key leads to one cell, the arrow keys from there to the others.
  const reach = (cell) => {
    for (const before of el.querySelectorAll('[data-key][tabindex="0"]')) before.setAttribute("tabindex", "-1");
    cell?.setAttribute("tabindex", "0");
  };
  let shown = "";
  const choose = (column, window) => {
    if (`${column}:${window}` !== shown) wait();
    select("column").value = column;
    select("window").value = window;
    mark();
    model.set("choice", [column, window]);
    model.save_changes();
  };
  const waiting = document.createElement("p");
  waiting.className = "quiet";
  waiting.setAttribute("role", "status");
  let late;
  const wait = () => {
    clearTimeout(late);
    late = setTimeout(() => {
      waiting.textContent = "Waiting for the kernel: it is busy, or gone.";
      select("column")?.closest("p").after(waiting);
    }, WAIT_MS);
  };
  const clicked = (event) => {
    const key = event.target.closest?.("[data-key]")?.dataset.key;
    if (key) choose(...key.split(":").map(Number));
  };
  const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const pressed = (event) => {
    const key = event.target.dataset?.key;
    if (!key || event.ctrlKey || event.altKey || event.metaKey) return;
    const [column, window] = key.split(":").map(Number);
    if (event.key === "Enter" || event.key === " ") choose(column, window);
    else if (STEPS[event.key]) {
      const next = cellBeside(column, window, STEPS[event.key]);
      reach(next ?? event.target);
      next?.focus();
    } else return;
    event.preventDefault();
  };
  const cellBeside = (column, window, [down, right]) => {
    for (let step = 1; step <= MOST_STEPS; step++) {
      const cell = cellAt(column + step * down, window + step * right);
      if (cell) return cell;
    }
    return null;
  };
  const changed = (event) => {
    if (event.target.tagName === "SELECT") choose(Number(selected("column")), Number(selected("window")));
  };
  const id = Math.random().toString(36);
  el.addEventListener("click", clicked);
  el.addEventListener("change", changed);
  el.addEventListener("keydown", pressed);
  model.on("change:fragments", show);
  show();
  model.send({ shown: id });
  return () => {
    el.removeEventListener("click", clicked);
    el.removeEventListener("change", changed);
    el.removeEventListener("keydown", pressed);
    model.off("change:fragments", show);
    clearTimeout(late);
    model.send({ gone: id });
  };
}

export default { render };
