// A PostgreSQL server of its own for a test, in a temporary folder, over a Unix socket and a port of 127.0.0.1. As root
// it runs as the system's user postgres: it does not start as root.
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';

export const binaries = '/usr/lib/postgresql/15/bin';
export const withoutPostgres = existsSync(`${binaries}/postgres`) ? false : 'PostgreSQL 15 is not installed';

const freePort = () => new Promise((resolve) => {
  const s = net.createServer().listen(0, '127.0.0.1', () => {
    const { port } = s.address();
    s.close(() => resolve(port));
  });
});

export async function startPostgres() {
  const isRoot = process.getuid() === 0;
  const dir = mkdtempSync('/tmp/tandem-postgres-'), data = path.join(dir, 'data'), port = await freePort();
  if (isRoot) {
    const ids = readFileSync('/etc/passwd', 'utf8').split('\n').find((l) => l.startsWith('postgres:')).split(':');
    chownSync(dir, Number(ids[2]), Number(ids[3]));
  }
  chmodSync(dir, 0o700);
  const as = (command, ...args) => {
    const words = isRoot ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups', command, ...args]
      : [command, ...args];
    const done = spawnSync(words[0], words.slice(1), { encoding: 'utf8', cwd: '/', env: { PATH: process.env.PATH, LC_ALL: 'C' } });
    if (done.status) throw new Error(`${words.join(' ')}: ${done.stdout}${done.stderr}`);
    return done.stdout;
  };
  as(`${binaries}/initdb`, '-D', data, '-U', 'tandem', '--auth=trust', '--no-sync', '--no-instructions', '-E', 'UTF8', '--locale=C');
  const options = `-c listen_addresses=127.0.0.1 -p ${port} -k ${dir} -c shared_buffers=8MB -c max_connections=20`;
  const server = {
    url: `postgresql://tandem@127.0.0.1:${port}/postgres`,
    start: () => as(`${binaries}/pg_ctl`, '-D', data, '-w', '-s', '-l', path.join(dir, 'log'), '-o', options, 'start'),
    kill: () => as(`${binaries}/pg_ctl`, '-D', data, '-w', '-s', '-m', 'immediate', 'stop'),
    query: (sql) => as(`${binaries}/psql`, '-h', dir, '-p', String(port), '-U', 'tandem', '-d', 'postgres', '-Atqc', sql).trim(),
    remove: () => {
      try {
        server.kill();
      } catch {}
      rmSync(dir, { recursive: true, force: true });
    },
  };
  process.on('exit', server.remove);
  server.start();
  return server;
}
