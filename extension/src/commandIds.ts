/** The names of the commands; the arguments that each takes are beside it. */
export const CommandIds = {
  openPanel: 'taxiway:open-panel',
  /** `name` */
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
  startAgent: 'taxiway:start-agent',
  stopAgent: 'taxiway:stop-agent'
} as const;
