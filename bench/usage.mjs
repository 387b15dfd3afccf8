import { readFileSync } from 'node:fs';

/** Most memory that a process has had so far, in bytes; null where the system does not tell (it does on Linux). */
export const peakMemory = (pid) => statusOf(pid, /^VmHWM:\s+(\d+) kB$/m);

/** The memory that a process has now, in bytes; null where the system does not tell. */
export const memory = (pid) => statusOf(pid, /^VmRSS:\s+(\d+) kB$/m);

function statusOf(pid, line) {
  try {
    const [, kibibytes] = line.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return Number(kibibytes) * 1024;
  } catch {
    return null;
  }
}

/** Processor time that this process, all its threads, has used since `before`, a `process.cpuUsage()`. Others on the machine do not change it much. */
export function cpuSeconds(before) {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}
