import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { ADMIN, useService } from '../support/service';

const README = readFileSync(path.join(__dirname, '../../README.md'), 'utf8');
const BETWEEN = '--- next block ---';

/** As much of curl as the README uses: a machine that runs the tests need not have it. */
const CURL = `#!${process.execPath}
const [url, ...rest] = process.argv.slice(2).filter((argument) => argument !== '-sS');
const headers = {};
let body;
for (let i = 0; i < rest.length; i += 2) {
  const [name, value] = [rest[i], rest[i + 1]];
  if (name === '-H') headers[value.slice(0, value.indexOf(':'))] = value.slice(value.indexOf(':') + 1).trim();
  else if (name === '-d') body = value;
  else throw new Error('curl ' + name);
}
fetch(url, { method: body === undefined ? 'GET' : 'POST', headers, body })
  .then(async (answer) => {
    process.stdout.write(await answer.text());
    if (!answer.ok) process.exit(22);
  });
`;

/** The commands of "The first five minutes" that speak to the service, each with the output that the README shows for it. */
function readBlocks(): readonly { readonly commands: string; readonly output: string | null }[] {
  const section = /## The first five minutes\n(.*?)\n## /s.exec(README)?.[1] ?? '';
  const fences = [...section.matchAll(/```(\w*)\n(.*?)```/gs)].map(([, language = '', text = '']) => ({ language, text }));
  return fences.flatMap(({ language, text }, index) => {
    if (language !== 'sh' || text.includes('npm start')) return [];
    const next = fences[index + 1];
    return [{ commands: text, output: next?.language === '' ? next.text : null }];
  });
}

describe('the first five minutes of the README', () => {
  const service = useService();
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'outdial-readme-'));
    writeFileSync(path.join(directory, 'curl'), CURL);
    chmodSync(path.join(directory, 'curl'), 0o755);
  });
  afterAll(() => {
    rmSync(directory, { recursive: true, force: true });
  });

  test('can be pasted line by line, and show what they say they show', async () => {
    const blocks = readBlocks();
    expect(blocks.filter(({ output }) => output !== null).length).toBeGreaterThanOrEqual(3);
    const script = blocks
      .map(({ commands }) => commands)
      .join(`\necho '${BETWEEN}'\n`)
      .replace('http://127.0.0.1:3000', service.url)
      .replace('five-minutes', ADMIN.password);
    const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', script], {
      env: { PATH: `${directory}:${path.dirname(process.execPath)}:${process.env.PATH ?? ''}` },
    });
    const outputs = stdout.split(`${BETWEEN}\n`);
    blocks.forEach(({ output }, index) => {
      if (output !== null) expect(outputs[index]).toBe(output);
    });
  });
});
