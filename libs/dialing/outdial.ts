import type { Micros } from './time';

export type OutdialMode = 'active' | 'paused' | 'archived';
export const NO_ID = '00000000-0000-0000-0000-000000000000';

export interface OutdialDetails {
  readonly name: string;
  readonly detail: string;
  readonly data: string;
  /** Zero UUID when attached to none. */
  readonly campaignId: string;
  /** Zero UUID: the default policy applies. */
  readonly outplanId: string;
}

type Happened = { readonly tm: Micros; readonly outdialId: string };
export type OutdialEvent =
  | (Happened & { readonly type: 'OutdialCreated'; readonly customerId: string } & OutdialDetails)
  | (Happened & { readonly type: 'OutdialUpdated'; readonly changes: Partial<Omit<OutdialDetails, 'campaignId'>> })
  | (Happened & { readonly type: 'CampaignAttached'; readonly campaignId: string })
  | (Happened & { readonly type: 'OutdialPaused' })
  | (Happened & { readonly type: 'OutdialResumed' })
  | (Happened & { readonly type: 'OutdialArchived' })
  | (Happened & { readonly type: 'OutdialDeleted' });

export interface Outdial extends OutdialDetails {
  readonly id: string;
  readonly customerId: string;
  /** The wire's `state`. */
  readonly mode: OutdialMode;
  readonly tmCreate: Micros;
  readonly tmUpdate: Micros | null;
  readonly tmDelete: Micros | null;
  readonly tmLast: Micros;
}

type Asked = { readonly now: Micros };
export type OutdialCommand =
  | (Asked & { readonly type: 'CreateOutdial'; readonly outdialId: string; readonly customerId: string } & OutdialDetails)
  | (Asked & { readonly type: 'UpdateOutdial'; readonly changes: Partial<OutdialDetails> })
  | (Asked & { readonly type: 'AttachCampaign'; readonly campaignId: string })
  | (Asked & { readonly type: 'PauseOutdial' })
  | (Asked & { readonly type: 'ResumeOutdial' })
  | (Asked & { readonly type: 'ArchiveOutdial' })
  | (Asked & { readonly type: 'DeleteOutdial' });
