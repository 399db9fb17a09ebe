// The fault server's scripts: what an upstream does wrong, byte by byte, over plain sockets (upstream.mjs) or TLS; and what
// an upstream of each format sends when nothing is wrong.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http2 from 'node:http2';
import net from 'node:net';
import path from 'node:path';
import { tempDir } from './lib.mjs';
import { chunk, delta, event } from './upstream.mjs';

export const streamHead = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n';
export const end = '0\r\n\r\n';
const named = (value) => `event: ${value.type}\n${event(value)}`;
export const stream = (...events) => [streamHead, ...events.map(chunk), end];
export const openHead = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n'; // ends with the connection

// Per format: a stream of words, one with two calls, an error inside a stream, and how it reads a request back.
export const formats = {
  openai: {
    words: () => [delta({ role: 'assistant', content: '' }), delta({ reasoning_content: 'hm ' }), delta({ content: 'Hällo ' }),
      delta({ content: 'world' }), delta({}, 'stop'), event({ choices: [], usage: { prompt_tokens: 9, completion_tokens: 4,
        prompt_tokens_details: { cached_tokens: 5 } } }), event('[DONE]')],
    told: '"finish_reason":"stop"',
    calls: () => [delta({ tool_calls: [{ index: 0, id: 'call_a', type: 'function', function: { name: 'weather', arguments: '' } }] }),
      delta({ tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] }),
      delta({ tool_calls: [{ index: 0, function: { arguments: '"Köln"}' } }] }),
      delta({ tool_calls: [{ index: 1, id: 'call_b', type: 'function', function: { name: 'now', arguments: '{}' } }] }),
      delta({}, 'tool_calls'), event('[DONE]')],
    error: () => [delta({ content: 'half ' }), event({ error: { message: 'overloaded', type: 'overloaded_error' } })],
    path: '/v1/chat/completions', prompt: (body) => body.messages.at(-1).content,
  },
  completions: {
    words: () => [event({ model: 'up', choices: [{ index: 0, text: 'Hällo ', finish_reason: null }] }),
      event({ choices: [{ index: 0, text: 'world', finish_reason: null }] }),
      event({ choices: [{ index: 0, text: '', finish_reason: 'stop' }] }),
      event({ choices: [], usage: { prompt_tokens: 9, completion_tokens: 4, prompt_tokens_details: { cached_tokens: 5 } } }), event('[DONE]')],
    told: '"finish_reason":"stop"',
    error: () => [event({ choices: [{ index: 0, text: 'half ' }] }), event({ error: { message: 'overloaded' } })],
    path: '/v1/completions', prompt: (body) => body.prompt,
  },
  responses: {
    words: () => [{ type: 'response.created', response: { model: 'up', status: 'in_progress', error: null } },
      { type: 'response.output_item.added', output_index: 0, item: { type: 'reasoning', id: 'rs_1', summary: [] } },
      { type: 'response.reasoning_summary_text.delta', output_index: 0, delta: 'hm ' },
      { type: 'response.output_item.added', output_index: 1, item: { type: 'message', id: 'msg_1', content: [] } },
      { type: 'response.output_text.delta', output_index: 1, delta: 'Hällo ' },
      { type: 'response.output_text.delta', output_index: 1, delta: 'world' },
      { type: 'response.completed', response: { status: 'completed', error: null,
        usage: { input_tokens: 9, output_tokens: 4, input_tokens_details: { cached_tokens: 5 } } } }].map(named),
    told: '"type":"response.completed"',
    calls: () => [{ type: 'response.output_item.added', output_index: 0, item: { type: 'function_call', id: 'fc_1', call_id: 'call_a', name: 'weather', arguments: '' } },
      { type: 'response.function_call_arguments.delta', output_index: 0, delta: '{"city":' },
      { type: 'response.function_call_arguments.delta', output_index: 0, delta: '"Köln"}' },
      { type: 'response.output_item.done', output_index: 0, item: { type: 'function_call', call_id: 'call_a', name: 'weather', arguments: '{"city":"Köln"}' } },
      { type: 'response.output_item.added', output_index: 1, item: { type: 'function_call', id: 'fc_2', call_id: 'call_b', name: 'now', arguments: '' } },
      { type: 'response.output_item.done', output_index: 1, item: { type: 'function_call', call_id: 'call_b', name: 'now', arguments: '{}' } },
      { type: 'response.completed', response: { status: 'completed' } }].map(named),
    error: () => [{ type: 'response.output_text.delta', output_index: 0, delta: 'half ' },
      { type: 'response.failed', response: { status: 'failed', error: { code: 'server_error', message: 'overloaded' } } }].map(named),
    path: '/v1/responses', prompt: (body) => body.input.at(-1).content,
  },
  anthropic: {
    words: () => [{ type: 'message_start', message: { id: 'msg_1', type: 'message', role: 'assistant', model: 'up', content: [],
      usage: { input_tokens: 4, output_tokens: 1, cache_read_input_tokens: 5, cache_creation_input_tokens: 0 } } },
      { type: 'content_block_start', index: 0, content_block: { type: 'thinking', thinking: '', signature: '' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'hm ' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'signature_delta', signature: 'c2ln' } },
      { type: 'content_block_stop', index: 0 }, { type: 'ping' },
      { type: 'content_block_start', index: 1, content_block: { type: 'text', text: '' } },
      { type: 'content_block_delta', index: 1, delta: { type: 'text_delta', text: 'Hällo ' } },
      { type: 'content_block_delta', index: 1, delta: { type: 'text_delta', text: 'world' } },
      { type: 'content_block_stop', index: 1 },
      { type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: 4 } },
      { type: 'message_stop' }].map(named),
    told: '"stop_reason":"end_turn"',
    calls: () => [{ type: 'message_start', message: { model: 'up', usage: { input_tokens: 4, output_tokens: 1 } } },
      { type: 'content_block_start', index: 0, content_block: { type: 'tool_use', id: 'call_a', name: 'weather', input: {} } },
      { type: 'content_block_delta', index: 0, delta: { type: 'input_json_delta', partial_json: '{"city":' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'input_json_delta', partial_json: '"Köln"}' } },
      { type: 'content_block_stop', index: 0 },
      { type: 'content_block_start', index: 1, content_block: { type: 'tool_use', id: 'call_b', name: 'now', input: {} } },
      { type: 'content_block_stop', index: 1 },
      { type: 'message_delta', delta: { stop_reason: 'tool_use' }, usage: { output_tokens: 9 } }, { type: 'message_stop' }].map(named),
    error: () => [{ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'half ' } },
      { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }].map(named),
    path: '/v1/messages', prompt: (body) => body.messages.at(-1).content[0].text,
  },
  llama: {
    words: () => [event({ index: 0, content: 'Hällo ', stop: false }), event({ index: 0, content: 'world', stop: false }),
      event({ index: 0, content: '', stop: true, stop_type: 'eos', tokens_evaluated: 9, tokens_predicted: 4, timings: { cache_n: 5 } })],
    told: '"stop":true',
    error: () => [event({ content: 'half ', stop: false }), event({ error: { code: 500, message: 'overloaded', type: 'server_error' } })],
    path: '/completion', prompt: (body) => body.prompt,
  },
};

// A server that is handed each connection, before anything is read from it.
export async function startRaw(handle) {
  const sockets = new Set();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    handle(socket);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  return { url: `http://127.0.0.1:${server.address().port}/v1`, sockets, close: () => { for (const s of sockets) s.destroy(); server.close(); } };
}

// Certificates: {ca, of(name, {days})}. `ca` is a file that signs all of them.
export function makeCertificates() {
  const dir = tempDir('certificates-');
  const openssl = (...args) => execFileSync('openssl', args, { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] });
  const file = (name) => path.join(dir, name);
  openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', 'ca.key', '-out', 'ca.pem',
    '-days', '30', '-subj', '/CN=Test authority');
  return {
    ca: file('ca.pem'),
    of(name, days = 30) {
      openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
      fs.writeFileSync(file('ext'), `subjectAltName=DNS:${name}\n`);
      openssl('x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', String(days),
        '-extfile', 'ext', '-out', `${name}.pem`);
      return { key: fs.readFileSync(file(`${name}.key`)), cert: fs.readFileSync(file(`${name}.pem`)) };
    },
  };
}

// An upstream behind TLS that offers HTTP/2; `versions` collects the version of each request.
export async function startTls(certificate) {
  const up = { versions: [], sessions: 0 };
  const server = http2.createSecureServer({ ...certificate, allowHTTP1: true }, (rq, answer) => {
    up.versions.push(rq.httpVersion);
    rq.resume();
    rq.on('end', () => {
      answer.writeHead(200, { 'content-type': 'text/event-stream' });
      answer.end(formats.openai.words().join(''));
    });
  });
  server.on('session', () => up.sessions++);
  server.on('sessionError', () => {});
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  up.port = server.address().port;
  up.close = () => server.close();
  return up;
}
