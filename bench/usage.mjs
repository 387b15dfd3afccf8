import { readFileSync } from 'node:fs';

/** Most memory that a process has had so far, in bytes; null where the system does not tell (it does on Linux). */
export function peakMemory(pid) {
  try {
    const [, kibibytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
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
