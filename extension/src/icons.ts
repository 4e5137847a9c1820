import { LabIcon } from '@jupyterlab/ui-components';
import taxiwaySvg from '../style/taxiway.svg';

export const taxiwayIcon = new LabIcon({ name: 'taxiway:taxiway', svgstr: taxiwaySvg });
