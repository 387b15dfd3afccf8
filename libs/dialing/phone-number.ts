import {
  getCountries,
  getCountryCallingCode,
  Metadata,
  parsePhoneNumberFromString,
  type MetadataJson,
  type NumberingPlan,
} from 'libphonenumber-js/core';
import metadataMax from 'libphonenumber-js/metadata.max.json';

/** What the compiler infers of the file is narrower than the library's own type of it. */
const NUMBERING_PLANS = metadataMax as unknown as MetadataJson;

/** E.164: at most 15 digits, the calling code included. */
const MAX_DIGITS = 15;

/**
 * A plain `+` and digits as libphonenumber writes it in E.164, without a national prefix that was left in (+44 0207… is +44 207…); null when
 * it is not a possible number. Numbering plans are not checked, only lengths (the API contract, Targets).
 *
 * A full parse costs 15 µs, most of it to find out which country of a shared calling code a number belongs to. Where that cannot matter
 * the answer is known without it; phone-number.test.ts holds both ways against each other.
 */
export function possibleE164(text: string): string | null {
  return plainlyPossible(text) ? text : parseE164(text);
}

/** The library's answer, if it stands: a number from which a second reading would strip yet another prefix is nobody's. */
export function parseE164(text: string): string | null {
  const number = readOnce(text);
  return number === null || number === text || readOnce(number) === number ? number : null;
}

function readOnce(text: string): string | null {
  const parsed = parsePhoneNumberFromString(text, NUMBERING_PLANS);
  if (parsed === undefined || parsed.ext !== undefined || parsed.number.length > MAX_DIGITS + 1) return null;
  return parsed.isPossible() ? parsed.number : null;
}

/** What all countries of one calling code have in common. */
interface SharedPlan {
  /** Lengths of the national number that are possible in every one of them. */
  readonly lengths: ReadonlySet<number>;
  /** What one of them might take for a national prefix and strip or replace; null when none has any. */
  readonly prefix: RegExp | null;
}

/** The calling codes of countries; those of satellites and services ("non-geographic") take the long way. */
const SHARED_PLANS: ReadonlyMap<string, SharedPlan> = sharedPlans();

/** A number of a length that is possible whichever country it is of, and with nothing at its start that could be a national prefix. */
function plainlyPossible(text: string): boolean {
  if (text.length > MAX_DIGITS + 1) return false;
  // No calling code is the beginning of another one.
  for (let digits = 1; digits <= 3; digits++) {
    const plan = SHARED_PLANS.get(text.slice(1, 1 + digits));
    if (plan === undefined) continue;
    const national = text.slice(1 + digits);
    return plan.lengths.has(national.length) && (plan.prefix === null || !plan.prefix.test(national));
  }
  return false;
}

function sharedPlans(): ReadonlyMap<string, SharedPlan> {
  const plans = new Map<string, { readonly lengths: readonly number[]; readonly prefix: string | undefined }[]>();
  const metadata = new Metadata(NUMBERING_PLANS);
  for (const country of getCountries(NUMBERING_PLANS)) {
    metadata.selectNumberingPlan(country);
    // Not in the library's types, but what it reads itself when it strips a national prefix.
    const plan = metadata.numberingPlan as (NumberingPlan & { nationalPrefixForParsing(): string | undefined }) | undefined;
    if (plan === undefined) continue;
    const code = getCountryCallingCode(country, NUMBERING_PLANS);
    plans.set(code, [...(plans.get(code) ?? []), { lengths: plan.possibleLengths(), prefix: plan.nationalPrefixForParsing() }]);
  }
  return new Map([...plans].map(([code, countries]) => [code, shared(countries)]));
}

function shared(countries: readonly { readonly lengths: readonly number[]; readonly prefix: string | undefined }[]): SharedPlan {
  const [first, ...others] = countries;
  const prefixes = new Set(countries.flatMap(({ prefix }) => (prefix === undefined ? [] : [prefix])));
  return {
    lengths: new Set((first?.lengths ?? []).filter((length) => others.every((other) => other.lengths.includes(length)))),
    prefix: prefixes.size === 0 ? null : new RegExp(`^(?:${[...prefixes].join('|')})`),
  };
}
