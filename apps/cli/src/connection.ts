import { Option } from 'commander';
import type { Command } from 'commander';
import { connect, logIn } from '#client';
import type { Client } from '#client';

export interface ConnectionOptions {
  readonly url: string;
  readonly token?: string;
  readonly username: string;
  readonly password?: string;
}

/** Where the service is and who asks: told by options, else by the environment. */
export const withConnection = (command: Command): Command =>
  command
    .addOption(new Option('--url <url>', 'where the service listens').env('OUTDIAL_URL').default('http://127.0.0.1:3000'))
    .addOption(new Option('--token <token>', 'a token, or an access key').env('OUTDIAL_TOKEN'))
    .addOption(new Option('--username <name>', 'who logs in when there is no token').env('OUTDIAL_USERNAME').default('admin'))
    .addOption(new Option('--password <password>', 'that user’s password').env('OUTDIAL_PASSWORD'));

/** What was typed cannot be done: another command is needed. */
export class UsageError extends Error {}

/** What is set to nothing counts as not set, as for the service itself. */
export async function open({ url, token = '', username, password = '' }: ConnectionOptions): Promise<Client> {
  if (!URL.canParse(url)) throw new UsageError(`${url} is not a URL, like http://127.0.0.1:3000`);
  if (token !== '') return connect({ url, token });
  if (password === '') throw new UsageError('a credential is needed: set OUTDIAL_TOKEN, or OUTDIAL_USERNAME and OUTDIAL_PASSWORD');
  return connect({ url, token: await logIn(url, username, password) });
}
