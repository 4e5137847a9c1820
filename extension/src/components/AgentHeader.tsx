import type { JSX } from 'react';
import { CommandIds } from '../commandIds';
import { localTime } from '../format';
import type { AgentState } from '../types';
import { Badge } from './Badge';
import { CommandButton } from './CommandButton';

/** Whether the agent runs, what it does, and the button that changes that. */
export function AgentHeader({ agent }: { agent: AgentState }): JSX.Element {
  const since = agent.since ? `, since ${localTime(agent.since)}` : '';
  const title = agent.running ? `Process ${agent.pid ?? '?'}${since}` : 'Nothing is monitored or retrained';
  return (
    <div className="taxiway-agent">
      <div className="taxiway-grow" role="status">
        <Badge
          tone={agent.running ? 'good' : 'plain'}
          text={agent.running ? 'Agent running' : 'Agent stopped'}
          title={title}
        />
        {agent.running && agent.doing ? <div className="taxiway-doing">{agent.doing}</div> : null}
      </div>
      {agent.running ? (
        <CommandButton
          command={CommandIds.stopAgent}
          text="Stop"
          title="Stop the agent and the endpoints of this machine"
        />
      ) : (
        <CommandButton
          command={CommandIds.startAgent}
          text="Start"
          title="Start the agent: it serves, monitors and retrains"
        />
      )}
    </div>
  );
}
