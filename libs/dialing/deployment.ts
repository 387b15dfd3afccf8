import { OutdialError } from './errors';
import type { Micros } from './time';

/**
 * The first event of a log: with which secret its ids are derived (a fingerprint, never the secret). A start with another secret would add
 * every target a second time under another id, so it is refused.
 */
export type DeploymentEvent = { readonly type: 'DeploymentCreated'; readonly tm: Micros; readonly secretFingerprint: string };

export interface Deployment {
  readonly secretFingerprint: string;
  readonly tmCreate: Micros;
}

export type DeploymentCommand = { readonly type: 'OpenDeployment'; readonly now: Micros; readonly secretFingerprint: string };

/** Claims a new log for a secret; `[]` when it is this secret's already. Throws `OutdialError` ID_SECRET_CHANGED when it is another's. */
export function decideDeployment(command: DeploymentCommand, state: Deployment | null): readonly DeploymentEvent[] {
  if (state === null) return [{ type: 'DeploymentCreated', tm: command.now, secretFingerprint: command.secretFingerprint }];
  if (state.secretFingerprint === command.secretFingerprint) return [];
  throw new OutdialError(
    'FAILED_PRECONDITION',
    'ID_SECRET_CHANGED',
    'ID_SECRET is not the one that this event log was created with: start with the original secret, or on an empty log.',
  );
}

export const evolveDeployment = (_state: Deployment | null, event: DeploymentEvent): Deployment => ({
  secretFingerprint: event.secretFingerprint,
  tmCreate: event.tm,
});
