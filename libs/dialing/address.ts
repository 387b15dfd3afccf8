export type AddressType = 'tel' | 'sip' | 'email';

/** A destination as the document has it (its "Address"): all five fields always present. `target` is normalised. */
export interface Address {
  readonly type: AddressType;
  readonly target: string;
  readonly target_name: string;
  readonly name: string;
  readonly detail: string;
}

/**
 * Equal for two spellings of one address, of an address whose target is normalised: its identity, and what it is found by. All of a SIP URI
 * but its user is compared without regard to case (RFC 3261, 19.1.4); no mail system in use tells mailboxes apart by case.
 */
export function addressKey({ type, target }: Pick<Address, 'type' | 'target'>): string {
  switch (type) {
    case 'tel':
      return `tel:${target}`;
    case 'sip': {
      const at = target.indexOf('@');
      return `sip:${target.slice(0, at)}${target.slice(at).toLowerCase()}`;
    }
    case 'email':
      return `email:${target.toLowerCase()}`;
  }
}
