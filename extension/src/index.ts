import { displays } from './plugins/displays';
import { endpointActions } from './plugins/endpointActions';
import { notebook } from './plugins/notebook';
import { notifications } from './plugins/notifications';
import { panel } from './plugins/panel';
import { profiles } from './plugins/profiles';
import { services } from './plugins/services';
import { views } from './plugins/views';

export default [services, panel, views, endpointActions, notebook, displays, profiles, notifications];
