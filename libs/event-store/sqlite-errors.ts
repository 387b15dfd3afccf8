/**
 * Whether SQLite failed with one of these codes, or with an extended form of one (SQLITE_IOERR_FSYNC for SQLITE_IOERR). By the code and
 * not by the class: an error that came from another thread or realm has lost its class.
 */
export function hasSqliteCode(error: unknown, ...codes: readonly string[]): boolean {
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
  return codes.some((plain) => code === plain || code.startsWith(`${plain}_`));
}
