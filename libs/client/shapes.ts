/** What the API takes and answers, as on the wire (see /openapi.json of a running service, which says what each field means). */

export interface Address {
  readonly type: 'tel' | 'sip' | 'email';
  readonly target: string;
  readonly target_name: string;
  readonly name: string;
  readonly detail: string;
}
export type NewAddress = Pick<Address, 'type' | 'target'> & Partial<Address>;

export interface Outdial {
  readonly id: string;
  readonly campaign_id: string;
  readonly name: string;
  readonly detail: string;
  readonly data: string;
  readonly tm_create: string;
  readonly tm_update: string;
  readonly tm_delete: string;
  readonly outplan_id: string;
  readonly state: 'active' | 'paused' | 'archived';
}
export type NewOutdial = Pick<Outdial, 'name'> & Partial<Pick<Outdial, 'detail' | 'data' | 'campaign_id' | 'outplan_id'>>;

type Index = 0 | 1 | 2 | 3 | 4;

export type NewTarget = {
  readonly external_id?: string | null;
  readonly name?: string;
  readonly detail?: string;
  readonly data?: string;
  readonly priority?: number;
  readonly destination?: NewAddress | null;
  readonly try_count_max?: number | null;
} & { readonly [N in Index as `destination_${N}`]?: NewAddress | null } & { readonly [N in Index as `try_count_max_${N}`]?: number | null };

export type Target = {
  readonly id: string;
  readonly outdial_id: string;
  readonly name: string;
  readonly detail: string;
  readonly data: string;
  readonly status: 'idle' | 'progressing' | 'done';
  readonly tm_create: string;
  readonly tm_update: string;
  readonly tm_delete: string;
  readonly external_id: string | null;
  readonly priority: number;
  readonly try_count_max: number | null;
  readonly exhausted: readonly boolean[];
  readonly done_reason: 'answered' | 'exhausted' | 'canceled' | null;
  readonly tm_next_try: string;
} & { readonly [N in Index as `destination_${N}`]: Address | null } & { readonly [N in Index as `try_count_${N}`]: number } & {
  readonly [N in Index as `try_count_max_${N}`]: number | null;
};

export interface Attempt {
  readonly attempt_id: string;
  readonly outdial_id: string;
  readonly target_id: string;
  readonly destination_index: number;
  readonly destination: Address;
  readonly try_count: number;
  readonly try_count_max: number;
  readonly dialer: string;
  readonly dial_timeout: number;
  readonly source: Address | null;
  readonly tm_start: string;
  readonly tm_expire: string;
  readonly tm_end: string;
  /** null while it is under way. */
  readonly outcome: string | null;
  readonly disposition: string | null;
  readonly note: string | null;
  readonly late: boolean;
}

export interface Lease extends Attempt {
  readonly name: string;
  readonly detail: string;
  readonly data: string;
  readonly external_id: string | null;
}
export interface ClaimRequest {
  /** 1 to 1000. */
  readonly limit: number;
  readonly dialer?: string;
  readonly lease_seconds?: number;
  readonly outplan_id?: string;
}
export interface Claim {
  readonly result: readonly Lease[];
  /** The year 9999 when nothing will become callable by itself. */
  readonly next_callable_at: string;
}

export interface Outcome {
  readonly attempt_id: string;
  readonly target_id: string;
  readonly outcome: string;
  readonly disposition?: string;
  readonly detail?: string;
  readonly tm_end?: string;
}
export interface OutcomeResult {
  readonly attempt_id: string;
  readonly result: 'recorded' | 'repeated' | 'late' | 'stale' | 'not_found' | 'invalid';
  readonly status: Target['status'] | null;
  readonly done_reason: Target['done_reason'];
}

export interface Progress {
  readonly targets: { readonly total: number; readonly idle: number; readonly progressing: number; readonly done: number };
  readonly done: { readonly answered: number; readonly exhausted: number; readonly canceled: number };
  readonly attempts: {
    readonly total: number;
    readonly by_outcome: Readonly<Record<string, number>>;
    readonly by_destination: readonly number[];
  };
  readonly callable: number;
  readonly waiting: number;
  readonly next_callable_at: string;
  readonly penetration: number;
  readonly connect_rate: number;
  readonly tm: string;
}

export interface Page<T> {
  readonly result: readonly T[];
  /** '' after the last page. */
  readonly next_page_token: string;
}

export interface ErrorDetail {
  readonly field: string;
  readonly reason: string;
  readonly value?: unknown;
}

/** What became of a row of an import. */
export interface ImportResult {
  /** From 1; a CSV file's header does not count. */
  readonly row: number;
  readonly result: 'created' | 'duplicate' | 'invalid' | 'updated';
  readonly id?: string;
  readonly external_id?: string;
  readonly deleted?: boolean;
  readonly details?: readonly ErrorDetail[];
}
export interface ImportSummary {
  readonly total: number;
  readonly created: number;
  readonly duplicates: number;
  readonly updated?: number;
  readonly invalid: number;
  readonly consistency_token?: string;
}
