/** The smallest value that at least this share of the values does not exceed. */
export function percentile(values, share) {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

/** What a value is to each of the others, by name; those that were not measured are left out. */
export function ratios(value, others) {
  return Object.fromEntries(Object.entries(others).flatMap(([name, other]) => (other === undefined ? [] : [[name, value / other]])));
}
