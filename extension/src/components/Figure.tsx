import { Button } from '@jupyterlab/ui-components';
import { type JSX, type ReactNode, useState } from 'react';

/** A chart, or the same figures as a table for those who cannot see it or want the numbers. */
export function Figure({ chart, table }: { chart: ReactNode; table: ReactNode }): JSX.Element {
  const [asTable, setAsTable] = useState(false);
  return (
    <div className="taxiway-figure">
      {asTable ? table : chart}
      <Button
        minimal
        small
        className="taxiway-more"
        aria-pressed={asTable}
        onClick={() => {
          setAsTable(!asTable);
        }}
      >
        {asTable ? 'Show the chart' : 'Show as a table'}
      </Button>
    </div>
  );
}
