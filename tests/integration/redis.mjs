// A real redis-server (or valkey-server) of Debian's package on a free port, ended with the tests.
import { spawn, spawnSync } from 'node:child_process';
import net from 'node:net';
import { sleep, tempDir } from './lib.mjs';

export const redisProgram = ['valkey-server', 'redis-server'].find((name) => spawnSync(name, ['--version']).status === 0);
export const withoutRedis = redisProgram ? false : 'neither valkey-server nor redis-server is installed';

async function freePort() {
  const listener = net.createServer();
  await new Promise((r) => listener.listen(0, '127.0.0.1', r));
  const { port } = listener.address();
  await new Promise((r) => listener.close(r));
  return port;
}

const answers = (port) => new Promise((resolve) => {
  const socket = net.connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
  socket.on('data', () => { socket.destroy(); resolve(true); });
  socket.on('error', () => resolve(false));
});

export async function startRedis({ port, password = 'store-canary' } = {}) {
  const redis = { port: port ?? (await freePort()), password };
  redis.start = async () => {
    redis.child = spawn(redisProgram, ['--port', String(redis.port), '--bind', '127.0.0.1', '--save', '', '--requirepass', password,
      '--dir', tempDir()], { stdio: 'ignore' });
    redis.child.unref();
    process.on('exit', () => redis.child.kill('SIGKILL'));
    for (let i = 0; i < 500 && !(await answers(redis.port)); i++) await sleep(10);
  };
  redis.kill = () => new Promise((resolve) => {
    redis.child.ref();
    redis.child.once('exit', resolve);
    redis.child.kill('SIGKILL');
  });
  redis.pause = () => redis.child.kill('SIGSTOP');
  redis.resume = () => redis.child.kill('SIGCONT');
  await redis.start();
  return redis;
}
