import { createLogger, nestLogger, withoutCredentials } from './logging';
import type { LogLevel } from './configuration';

function record(level: LogLevel = 'trace'): {
  logger: ReturnType<typeof createLogger>;
  lines: () => Record<string, unknown>[];
  text: () => string;
} {
  let text = '';
  const logger = createLogger(level, { write: (line) => (text += line) });
  const lines = (): Record<string, unknown>[] =>
    text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { logger, lines, text: () => text };
}

test('a line says when, how grave, and what', () => {
  const { logger, lines } = record();
  logger.warn({ targets: 3 }, 'three of them');
  expect(lines()).toEqual([{ level: 'warn', time: expect.stringMatching(/^\d{4}-.*Z$/) as string, targets: 3, msg: 'three of them' }]);
});

test('what is below the level is not logged', () => {
  const { logger, lines } = record('error');
  logger.warn('no');
  logger.error('yes');
  expect(lines().map(({ msg }) => msg)).toEqual(['yes']);
});

test.each([
  ['in a field', { token: 'SECRET' }],
  ['one level down', { user: { password: 'SECRET' } }],
  ['two levels down', { request: { headers: { authorization: 'Bearer SECRET', cookie: 'token=SECRET' } } }],
  ['in the query of a request', { req: { url: '/v1.0/outdials?page_size=2&token=SECRET', method: 'GET' } }],
  ['in the headers of a request', { req: { url: '/', method: 'GET', headers: { authorization: 'SECRET' } } }],
])('a credential %s is never logged', (_, fields) => {
  const { logger, text } = record();
  logger.info(fields, 'a request');
  expect(text()).toContain('a request');
  expect(text()).not.toContain('SECRET');
});

test.each([
  ['/v1.0/outdials?token=abc', '/v1.0/outdials?token=[hidden]'],
  ['/v1.0/outdials?page_size=3&accesskey=abc&status=idle', '/v1.0/outdials?page_size=3&accesskey=[hidden]&status=idle'],
  ['/v1.0/outdials?page_token=abc', '/v1.0/outdials?page_token=abc'],
  ['/v1.0/outdials', '/v1.0/outdials'],
])('of the URL %s this is shown: %s', (url, shown) => {
  expect(withoutCredentials(url)).toBe(shown);
});

test('Nest’s errors keep their stack, and its story of the start is for who debugs it', () => {
  const { logger, lines } = record('debug');
  const nest = nestLogger(logger);
  nest.log('Mapped a route', 'Router');
  nest.error(new Error('broken'), 'Handler');
  expect(lines()).toMatchObject([
    { level: 'debug', msg: 'Mapped a route', context: 'Router' },
    { level: 'error', msg: 'broken', context: 'Handler', err: { message: 'broken', stack: expect.any(String) as string } },
  ]);
});
