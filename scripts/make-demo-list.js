'use strict';

/**
 * Prints apps/demo/list.csv, the list that `npm run demo` dials: 10,000 rows as a call centre gets them. Most are fine; some repeat a number that
 * the file already has, spelled otherwise; some cannot be dialed at all. The same seed gives the same file, byte for byte.
 *
 * Numbers are of the ranges that numbering authorities keep free for fiction, addresses of the domains reserved for examples: nobody is at their
 * other end.
 *
 *     node scripts/make-demo-list.js > apps/demo/list.csv
 */

const ROWS = 10_000;
const SEED = 20_260_412;
const COLUMNS = ['name', 'detail', 'priority', 'destination_0', 'destination_1', 'destination_2', 'destination_3'];

const FIRST_NAMES =
  `Ada Aisha Alejandro Amélie Anders Anna Ben Bianca Carlos Chloé Clara Daniel Diego Dilara Elena Emeka Emil Emma Farah Felix Fiona
Gabriel Giulia Grace Hana Hugo Ines Isabel Ivan Jakub Jana Jin Jonas Julia Kaito Karim Katarzyna Lars Laura Léa Leon Lina Luca Lucía Maja Marco
Maria Mateo Maya Mehmet Mia Miguel Mina Nadia Nina Noah Olga Oliver Omar Paula Pedro Priya Rafael Rosa Samir Sara Sofia Sven Tariq Tomás Vera
Viktor Wei Yara Yuki Zoë`.split(/\s+/);
const LAST_NAMES =
  `Adeyemi Ahmed Andersson Baker Bauer Bernard Bianchi Brown Castillo Chen Cohen Costa Diaz Dubois Eriksen Evans Ferrari Fischer
Fontaine Garcia Gonzalez Haddad Hansen Harris Hoffmann Ito Ivanova Jensen Johnson Kaya Keller Khan Kim Kovács Kowalski Laurent Lee Lindberg Lopez
Martin Mensah Meyer Moreau Müller Nakamura Nguyen Novák O'Brien Okafor Olsen Patel Pereira Petrov Popescu Ricci Rossi Sánchez Santos Sato
Schneider Schwarz Silva Singh Smith Tanaka Taylor Thompson Torres Vargas Virtanen Wagner Walker Weber Williams Wójcik Yilmaz Young
Zhang`.split(/\s+/);
const DETAILS = [
  'renewal due in March',
  'asked for a call-back',
  'trade fair, hall 4',
  'appointment reminder',
  'invoice 60 days open',
  'customer since 2019, prefers mornings',
  'moved from the "spring" list',
  '',
];
const AREA_CODES =
  `201 202 205 206 207 208 209 210 212 213 214 215 216 217 218 219 224 225 228 229 231 234 239 240 248 251 252 253 254 256 260 262 267
269 270 276 281 301 302 303 304 305 307 308 309 310 312 313 314 315 316 317 318 319 320 321 323 325 330 334 336 337 339 347 351 352 360 361 386 401
402 404 405 406 407 408 409 410 412 413 414 415 417 419 423 425 430 432 434 435 440 443 469 470 478 479 480 484 501 502 503 504 505 507 508 509 510
512 513 515 516 517 518 520 530 540 541 551 559 561 562 563 567 570 571 573 574 580 585 586 601 602 603 605 606 607 608 609 610 612 614 615 616 617
618 619 620 623 626 630 631 636 641 646 650 651 660 661 662 678 682 701 702 703 704 706 707 708 712 713 714 715 716 717 718 719 720 724 727 731 732
734 740 754 757 760 763 765 769 770 772 773 774 775 781 785 786 801 802 803 804 805 806 808 810 812 813 814 815 816 817 818`.split(/\s+/);
/** Prefix and length of the rest, as the countries' authorities publish them (Ofcom, ARCEP, ACMA). */
const FICTION = [
  ['+44 7700 900', 3],
  ['+44 20 7946 0', 3],
  ['+44 1632 960', 3],
  ['+33 1 99 00 ', 4],
  ['+33 2 61 91 ', 4],
  ['+33 6 39 98 ', 4],
];
const DOMAINS = ['example.com', 'example.net', 'example.org', 'mail.example.com'];

/** mulberry32: 32 bits of state, enough for a list, and the same on every machine. */
function randomness(seed) {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit) => Math.floor(next() * limit);
  return { chance: (probability) => next() < probability, below, pick: (values) => values[below(values.length)] };
}

const digits = (random, count) => String(random.below(10 ** count)).padStart(count, '0');
const compact = (number) => number.replace(/[^+\d]/g, '');
const ascii = (name) =>
  name
    .normalize('NFD')
    .replace(/[^a-zA-Z]/g, '')
    .toLowerCase();

/** A number as people write it: with spaces. */
function makeNumber(random) {
  if (random.chance(0.75)) return `+1 ${random.pick(AREA_CODES)} 555 01${digits(random, 2)}`;
  const [prefix, rest] = random.pick(FICTION);
  return prefix + digits(random, rest);
}

/** The same number in another spelling. */
function respell(number, random) {
  const [country, area, ...rest] = number.split(' ');
  return random.pick([
    compact(number),
    number,
    `${country} (${area}) ${rest.join('-')}`,
    [country, area, ...rest].join('-'),
    `${country}${area} ${rest.join('')}`,
  ]);
}

function makePerson(random) {
  const first = random.pick(FIRST_NAMES);
  const last = random.pick(LAST_NAMES);
  return {
    name: random.chance(0.2) ? `${last}, ${first}` : `${first} ${last}`,
    login: `${ascii(first)}.${ascii(last)}${random.below(100)}`,
  };
}

function makeRow(random, destinations) {
  const person = makePerson(random);
  const row = { name: person.name, detail: random.pick(DETAILS), priority: random.chance(0.05) ? String(random.below(5) + 1) : '' };
  destinations(person).forEach((destination, index) => (row[`destination_${index}`] = destination));
  return row;
}

/** One to four ways to reach somebody, numbers first; sometimes only later ones are known. */
function makeDestinations(random, number, person) {
  const ways = [compact(number)];
  if (random.chance(0.5)) ways.push(makeNumber(random));
  if (random.chance(0.2)) ways.push(`sip:${person.login}@pbx.${random.pick(DOMAINS)}`);
  if (random.chance(0.3)) ways.push(`${person.login}@${random.pick(DOMAINS)}`);
  if (ways.length < 4 && random.chance(0.03)) ways.unshift('');
  return ways;
}

/** Somebody without a telephone. */
function makeAddresses(random, person) {
  const email = `${person.login}@${random.pick(DOMAINS)}`;
  return random.chance(0.5) ? [`sip:${email}`, email] : [email];
}

const BROKEN = [
  (random, number) => compact(number).slice(1), // without its plus
  (random, number) => compact(number).slice(0, 6), // cut off
  (random) => `+1${random.pick(AREA_CODES)}CALLNOW`,
  (random, number) => `${compact(number)}${digits(random, 9)}`, // two in one field
  () => '', // nothing to dial
  () => 'n/a',
  (random) => `nobody@@${random.pick(DOMAINS)}`,
  () => 'sip:',
];

function makeRows(random) {
  const taken = new Set();
  const freshNumber = () => {
    for (;;) {
      const number = makeNumber(random);
      if (taken.has(compact(number))) continue;
      taken.add(compact(number));
      return number;
    }
  };
  const originals = [];
  const rows = [];
  while (rows.length < ROWS) {
    if (originals.length > 0 && random.chance(0.04)) {
      const { row, number } = random.pick(originals);
      rows.push({ ...row, name: row.name.toUpperCase(), destination_0: respell(number, random) });
    } else if (random.chance(0.025)) {
      rows.push(makeRow(random, () => [random.pick(BROKEN)(random, makeNumber(random))]));
    } else if (random.chance(0.08)) {
      rows.push(makeRow(random, (person) => makeAddresses(random, person)));
    } else {
      const number = freshNumber();
      const row = makeRow(random, (person) => makeDestinations(random, number, person));
      // What stands first identifies a target: only then is another spelling of it the same target.
      if (row.destination_0 !== '') originals.push({ row, number });
      rows.push(row);
    }
  }
  return rows;
}

const quote = (field) => (/[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field);

const lines = makeRows(randomness(SEED)).map((row) => COLUMNS.map((column) => quote(row[column] ?? '')).join(','));
process.stdout.write(`${[COLUMNS.join(','), ...lines].join('\n')}\n`);
