/** The names of the commands; the arguments that each takes are beside it. */
export const CommandIds = {
  openPanel: 'taxiway:open-panel',
  /** `name`; `column`, `window` and `model` show a column of it too */
  openEndpoint: 'taxiway:open-endpoint',
  /** `tag` */
  openModel: 'taxiway:open-model',
  packageModel: 'taxiway:package-model',
  /** `endpoint` */
  promote: 'taxiway:promote',
  /** `endpoint` */
  rollback: 'taxiway:rollback',
  /** `endpoint` */
  startShadow: 'taxiway:start-shadow',
  /** `endpoint` */
  stopShadow: 'taxiway:stop-shadow',
  /** `id` */
  acknowledge: 'taxiway:acknowledge-alert',
  /** `id`, `seconds` */
  silence: 'taxiway:silence-alert',
  /** `id` */
  unsilence: 'taxiway:unsilence-alert',
  /** `left` (a path) or `model`, and `right` (a path); asks for what is missing */
  compareProfiles: 'taxiway:compare-profiles',
  startAgent: 'taxiway:start-agent',
  stopAgent: 'taxiway:stop-agent'
} as const;
