/** What a dialog says before something changes in production. */

import type { EndpointSummary, ShadowReport } from './types';

type Verdict = Pick<ShadowReport, 'verdict' | 'reasons'>;

export interface Confirmation {
  title: string;
  /** One sentence a paragraph. */
  body: string[];
  accept: string;
  /** The accept button warns. */
  warn: boolean;
}

export function confirmPromote(endpoint: EndpointSummary, report: Verdict | null): Confirmation {
  const verdict = report?.verdict ?? 'not compared yet';
  const against = verdict !== 'promote';
  return {
    title: `Promote the shadow of ${endpoint.name}${against ? ' against its verdict' : ''}?`,
    body: [
      `${endpoint.shadow ?? 'The shadow'} goes live in place of ${endpoint.live ?? 'nothing'}.`,
      'Requests in flight are answered by the Model they reached; none is refused. Roll back undoes this.',
      [`The verdict is: ${verdict}.`, ...(report?.reasons ?? [])].join(' '),
      ...(against ? ['Promoting all the same is recorded.'] : [])
    ],
    accept: against ? 'Promote All the Same' : 'Promote',
    warn: against
  };
}

export function confirmRollback(endpoint: EndpointSummary): Confirmation {
  return {
    title: `Roll ${endpoint.name} back?`,
    body: [
      `The Model that was live before goes live again in place of ${endpoint.live ?? 'the present one'}.`,
      'Requests in flight are answered by the Model they reached; none is refused. Rolling back again undoes this.'
    ],
    accept: 'Roll Back',
    warn: true
  };
}

export function confirmStopShadow(endpoint: EndpointSummary): Confirmation {
  return {
    title: `Stop the shadow of ${endpoint.name}?`,
    body: [
      `${endpoint.shadow ?? 'The shadow'} gets no more copies of the traffic; callers notice nothing.`,
      'What it has predicted so far stays in the log.'
    ],
    accept: 'Stop Shadow',
    warn: false
  };
}

export function confirmStopAgent(endpoints: number): Confirmation {
  const stopped =
    endpoints === 1 ? 'the endpoint of this machine' : `all ${endpoints} endpoints of this machine`;
  return {
    title: 'Stop the agent?',
    body: [
      endpoints > 0
        ? `This stops ${stopped}: requests to them will fail until the agent is started again.`
        : 'Monitoring and retraining pause until the agent is started again.',
      'Models, the prediction log and what you asked for stay; starting the agent brings everything back.'
    ],
    accept: 'Stop Agent',
    warn: endpoints > 0
  };
}
