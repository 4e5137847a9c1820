import type { IThemeManager } from '@jupyterlab/apputils';
import { useEffect, useState } from 'react';
import type { ChartColors } from '../charts';

const HEAT_LIGHT = ['#f4f5f7', '#fbdcb5', '#f08c3a', '#b93a05'];
const HEAT_DARK = ['#26292d', '#5d4023', '#c4661f', '#ffa25e'];

/** The colours of JupyterLab's present theme; they change with it. */
export function useChartColors(themes: IThemeManager | null): ChartColors {
  const [colors, setColors] = useState(readColors);
  useEffect(() => {
    const update = (): void => {
      setColors(readColors());
    };
    themes?.themeChanged.connect(update);
    return () => {
      themes?.themeChanged.disconnect(update);
    };
  }, [themes]);
  return colors;
}

function readColors(): ChartColors {
  const style = getComputedStyle(document.body);
  const read = (name: string, fallback: string): string => style.getPropertyValue(name).trim() || fallback;
  const light = document.body.dataset.jpThemeLight !== 'false';
  return {
    text: read('--jp-ui-font-color1', light ? '#212121' : '#eeeeee'),
    faint: light ? '#b6bcc4' : '#5f666e',
    background: read('--jp-layout-color1', light ? '#ffffff' : '#111111'),
    line: light ? '#1668c4' : '#6cb2ff',
    second: light ? '#8a3fc4' : '#c99bff',
    bad: light ? '#b3261e' : '#ff8a80',
    heat: light ? HEAT_LIGHT : HEAT_DARK,
    font: read('--jp-ui-font-family', 'sans-serif')
  };
}
