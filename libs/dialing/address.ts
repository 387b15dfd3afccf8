export type AddressType = 'tel' | 'sip' | 'email';

/** A destination as the document has it (its "Address"): all five fields always present. `target` is normalised. */
export interface Address {
  readonly type: AddressType;
  readonly target: string;
  readonly target_name: string;
  readonly name: string;
  readonly detail: string;
}
