import fc from 'fast-check';
import { getCountries, getCountryCallingCode, getExampleNumber } from 'libphonenumber-js/max';
import examples from 'libphonenumber-js/examples.mobile.json';
import { parseE164, possibleE164 } from './phone-number';

const CALLING_CODES = [...new Set(getCountries().map((country) => getCountryCallingCode(country)))];
const digits = (min: number, max: number) =>
  fc.array(fc.integer({ min: 0, max: 9 }), { minLength: min, maxLength: max }).map((list) => list.join(''));

describe('The short way to read a phone number', () => {
  it('gives what libphonenumber gives, for any digits after any calling code', () => {
    fc.assert(
      fc.property(fc.constantFrom(...CALLING_CODES), digits(2, 14), (code, national) => {
        expect(possibleE164(`+${code}${national}`)).toBe(parseE164(`+${code}${national}`));
      }),
      { numRuns: 2000 },
    );
  });
  it('gives what libphonenumber gives where a national prefix may have been left in', () => {
    const prefix = fc.constantFrom('0', '1', '8', '06', '00', '01', '044', '15', '9', '02');
    fc.assert(
      fc.property(fc.constantFrom(...CALLING_CODES), prefix, digits(4, 11), (code, first, national) => {
        expect(possibleE164(`+${code}${first}${national}`)).toBe(parseE164(`+${code}${first}${national}`));
      }),
      { numRuns: 2000 },
    );
  });
  it('gives what libphonenumber gives for any digits at all', () => {
    fc.assert(
      fc.property(digits(6, 17), (number) => {
        expect(possibleE164(`+${number}`)).toBe(parseE164(`+${number}`));
      }),
      { numRuns: 1000 },
    );
  });
  it('gives what libphonenumber gives for an example of every country', () => {
    for (const country of getCountries()) {
      const example = getExampleNumber(country, examples);
      expect(example && possibleE164(example.number)).toBe(example?.number);
      expect(example && parseE164(example.number)).toBe(example?.number);
    }
  });
});
