/** What a dialer may report: the telecom result. (The business result is the attempt's `disposition`, a free field.) */
export const REPORTED_OUTCOMES = [
  'answered',
  'busy',
  'no_answer',
  'failed',
  'canceled',
  'rejected',
  'machine',
  'fax',
  'congestion',
  'invalid_number',
  'unknown',
] as const;
export type ReportedOutcome = (typeof REPORTED_OUTCOMES)[number];

/** `released`: leased but never dialed; counted nowhere. */
export type Outcome = ReportedOutcome | 'released';
