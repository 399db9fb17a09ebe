// Conversations with canaries in every field through a real `tandem serve` with a mask, to an upstream that keeps what it
// receives and sends back what it was sent, cut anywhere. Two things are shown: nothing protected is in what the upstream
// received, and every answer holds the values again, in every wire format, whatever the cuts.
import assert from 'node:assert/strict';
import net from 'node:net';
import { random, startTandem } from '../integration/lib.mjs';
import { canary, DENY, leaked, letters, PATTERNS } from './canaries.mjs';

// --- the upstream

const chunk = (text) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
const event = (value) => `data: ${JSON.stringify(value)}\n\n`;

// A text in pieces of whole characters.
function pieces(r, text, most) {
  const out = [], all = [...text];
  for (let i = 0; i < all.length; ) {
    const n = 1 + r(most);
    out.push(all.slice(i, i + n).join(''));
    i += n;
  }
  return out;
}

// What models are asked with, as each dialect of `remote` has it: `said` is the last text of the user, `call` the first
// call of a tool, `words` what brings pieces of an answer.
const textOf = (content) => (typeof content === 'string' ? content : (content ?? []).map((p) => p.text ?? '').join(''));
const lastTurn = (prompt) => prompt.split(/(?:^|\n\n)User: /).at(-1).replace(/\n\nAssistant:$/, '');
const delta = (d, finish = null) => event({ id: 'u', object: 'chat.completion.chunk', created: 1, model: 'big', choices: [{ index: 0, delta: d, finish_reason: finish }] });
const block = (content, d, list, reason) => [event({ type: 'message_start', message: { id: 'm', model: 'big', usage: { input_tokens: 1 } } }),
  event({ type: 'content_block_start', index: 0, content_block: content }), ...list.map((p) => event({ type: 'content_block_delta', index: 0, delta: d(p) })),
  event({ type: 'content_block_stop', index: 0 }), event({ type: 'message_delta', delta: { stop_reason: reason }, usage: { output_tokens: 1 } }), event({ type: 'message_stop' })];
const response = (list) => [event({ type: 'response.created', response: { model: 'big' } }), ...list, event({ type: 'response.completed', response: { status: 'completed' } })];
const dialects = {
  openai: {
    path: '/v1/chat/completions', replies: ['content', 'thought', 'refusal', 'call'],
    said: (b) => textOf(b.messages.findLast((m) => m.role === 'user')?.content),
    call: (b) => b.messages.flatMap((m) => m.tool_calls ?? [])[0].function,
    words: {
      content: (list) => [...list.map((p) => delta({ content: p })), delta({}, 'stop')],
      refusal: (list) => [...list.map((p) => delta({ refusal: p })), delta({}, 'stop')],
      thought: (list) => [...list.map((p) => delta({ reasoning_content: p })), delta({ content: 'so be it' }), delta({}, 'stop')],
      call: (list, { name }) => [delta({ role: 'assistant', tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name, arguments: '' } }] }),
        ...list.map((p) => delta({ tool_calls: [{ index: 0, function: { arguments: p } }] })), delta({}, 'tool_calls')],
    },
  },
  anthropic: {
    path: '/v1/messages', replies: ['content', 'thought', 'call'],
    said: (b) => b.messages.findLast((m) => m.role === 'user').content.at(-1).text,
    call: (b) => b.messages.flatMap((m) => m.content).filter((c) => c.type === 'tool_use').map((c) => ({ name: c.name, arguments: JSON.stringify(c.input) }))[0],
    words: {
      content: (list) => block({ type: 'text', text: '' }, (text) => ({ type: 'text_delta', text }), list, 'end_turn'),
      thought: (list) => block({ type: 'thinking', thinking: '' }, (thinking) => ({ type: 'thinking_delta', thinking }), list, 'end_turn'),
      call: (list, { name }) => block({ type: 'tool_use', id: 'toolu_1', name, input: {} }, (p) => ({ type: 'input_json_delta', partial_json: p }), list, 'tool_use'),
    },
  },
  responses: {
    path: '/v1/responses', replies: ['content', 'thought', 'call'],
    said: (b) => textOf(b.input.findLast((m) => m.role === 'user')?.content),
    call: (b) => b.input.find((i) => i.type === 'function_call'),
    words: {
      content: (list) => response(list.map((p) => event({ type: 'response.output_text.delta', output_index: 0, delta: p }))),
      thought: (list) => response(list.map((p) => event({ type: 'response.reasoning_summary_text.delta', output_index: 0, delta: p }))),
      call: (list, { name }) => response([event({ type: 'response.output_item.added', output_index: 0, item: { type: 'function_call', call_id: 'call_1', name } }),
        ...list.map((p) => event({ type: 'response.function_call_arguments.delta', output_index: 0, delta: p }))]),
    },
  },
  completions: {
    path: '/v1/completions', replies: ['content'], isText: true, said: (b) => lastTurn(b.prompt),
    words: { content: (list) => [...list, ''].map((text, i) => event({ choices: [{ index: 0, text, finish_reason: i < list.length ? null : 'stop' }] })) },
  },
  llama: {
    path: '/completion', replies: ['content'], isText: true, said: (b) => lastTurn(b.prompt),
    words: { content: (list) => [...list.map((content) => event({ content, stop: false })), event({ content: '', stop: true, stop_type: 'eos' })] },
  },
};
const byPath = Object.fromEntries(Object.values(dialects).map((d) => [d.path, d]));

// What the model says: what it was sent, as content, refusal, thought or as a call of a tool.
function answerOf(r, path, conversation, body) {
  const most = [1, 2, 3, 7, 40][r(5)], dialect = byPath[path], reply = conversation.reply ?? 'content';
  const call = reply === 'call' ? dialect.call(body) : undefined;
  return dialect.words[reply](pieces(r, call ? call.arguments : dialect.said(body), most), call);
}

// In as many writes as there are cuts, anywhere in the bytes.
function send(r, socket, events) {
  const bytes = Buffer.from(`HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n${chunk(events.join(''))}${chunk('data: [DONE]\n\n')}0\r\n\r\n`);
  let at = 0;
  for (let n = r(4); n > 0 && at < bytes.length - 1; n--) {
    const end = at + 1 + r(bytes.length - at - 1);
    socket.write(bytes.subarray(at, end));
    at = end;
  }
  socket.write(bytes.subarray(at));
}

const vectors = (b) => ({ object: 'list', model: 'big', data: [b.input].flat().map((_, index) => ({ object: 'embedding', index, embedding: [1, 0] })), usage: { prompt_tokens: 1, total_tokens: 1 } });
const template = (b) => ({ prompt: `${b.messages.map((m) => `${m.role === 'user' ? 'User: ' : ''}${textOf(m.content)}`).join('\n\n')}\n\nAssistant:` }); // of llama-server
const wholeAnswers = { '/v1/embeddings': vectors, '/apply-template': template };

function sendWhole(socket, value) {
  const text = JSON.stringify(value);
  socket.write(`HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
}

async function startRecorder(r, conversations, tally) {
  const listener = net.createServer((socket) => {
    let got = Buffer.alloc(0);
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('data', (d) => {
      got = got.length ? Buffer.concat([got, d]) : d;
      for (;;) {
        const end = got.indexOf('\r\n\r\n');
        const length = end < 0 ? 0 : Number(/content-length: *(\d+)/i.exec(got.toString('latin1', 0, end))[1]);
        if (end < 0 || got.length < end + 4 + length) return;
        const head = got.toString('latin1', 0, end), text = got.toString('utf8', end + 4, end + 4 + length);
        got = got.subarray(end + 4 + length);
        const id = numbered(/conv([a-j]+)x/.exec(text)?.[1]), conversation = conversations.get(id);
        tally.received++;
        tally.bytes += head.length + text.length;
        const found = leaked(conversation ? conversation.canaries : [...conversations.values()].flatMap((c) => c.canaries), head, text);
        if (found || !conversation) tally.leaks.push({ kind: found?.kind, id, text: text.slice(0, 4000), places: conversation?.places });
        const body = JSON.parse(text), path = head.split(' ')[1];
        if (wholeAnswers[path]) sendWhole(socket, wholeAnswers[path](body));
        else send(r, socket, answerOf(r, path, conversation ?? {}, body));
      }
    });
  });
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  listener.unref();
  return { url: `http://127.0.0.1:${listener.address().port}`, close: () => listener.close() };
}

// --- a client that keeps its connection

function connect(port) {
  const client = { socket: net.connect(port, '127.0.0.1'), got: [], size: 0 };
  client.socket.setNoDelay(true);
  client.socket.on('data', (d) => {
    client.got.push(d);
    client.size += d.length;
    const bytes = client.got.length > 1 ? Buffer.concat(client.got) : d;
    client.got = [bytes];
    const end = bytes.indexOf('\r\n\r\n');
    if (end < 0) return;
    const head = bytes.toString('latin1', 0, end), length = /^content-length: *(\d+)/im.exec(head)?.[1];
    if (length === undefined ? bytes.toString('latin1', bytes.length - 5) !== '0\r\n\r\n' : bytes.length < end + 4 + Number(length)) return;
    client.got = [];
    const text = length === undefined ? dechunk(bytes.subarray(end + 4)) : bytes.toString('utf8', end + 4);
    client.done({ status: Number(head.slice(9, 12)), text });
  });
  client.socket.on('close', () => client.failed?.(new Error('the server closed the connection')));
  client.socket.on('error', (e) => client.failed?.(e));
  client.post = (path, headers, body) => new Promise((resolve, reject) => {
    client.done = resolve;
    client.failed = reject;
    client.socket.write(`POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  });
  return client;
}

function dechunk(bytes) {
  const parts = [];
  for (let at = 0; ; ) {
    const line = bytes.indexOf('\r\n', at), n = parseInt(bytes.toString('latin1', at, line), 16);
    if (!n) return Buffer.concat(parts).toString('utf8');
    parts.push(bytes.subarray(line + 2, line + 2 + n));
    at = line + 4 + n;
  }
}

// --- conversations: every format has its fields, each takes a text and puts it somewhere

const pick = (r, list) => list[r(list.length)];
// Letters of which no word of context is made, never one alone: beside letters that are set apart it would be one of them; the name of a conversation is of letters too, so that it is no number of anybody.
const words = (r, n) => Array.from({ length: 1 + r(n) }, () => Array.from({ length: 2 + r(7) }, () => 'qxzjkw'[r(6)]).join('')).join(' ');
const named = (id) => [...String(id)].map((c) => letters[c]).join('');
const numbered = (name) => (name ? Number([...name].map((c) => letters.indexOf(c)).join('')) : -1);
// What a name may hold: a value that is one word, as it is.
const identifier = (c) => (['card', 'iban', 'own', 'secret'].includes(c.kind) ? c.value : 'mail');

const shared = { // of every format
  'user agent': (b, t, c) => (b.headers += `User-Agent: ${encodeURIComponent(t)}\r\n`),
  referer: (b, t, c) => (b.headers += `Referer: http://x/${encodeURIComponent(t)}\r\n`),
  cookie: (b, t, c) => (b.headers += `Cookie: a=${encodeURIComponent(t)}\r\n`),
  'unknown header': (b, t, c) => (b.headers += `X-Something: ${encodeURIComponent(c.value)}\r\n`),
  query: (b, t, c) => (b.path += `?q=${encodeURIComponent(c.value)}`),
  user: (b, t) => (b.json.user = t),
  metadata: (b, t, c) => (b.json.metadata = { [t]: c.value }),
  'safety identifier': (b, t) => (b.json.safety_identifier = t),
  'cache key': (b, t) => (b.json.prompt_cache_key = t),
  'unknown field': (b, t, c) => (b.json.something = { [t]: [c.value] }),
};
// A value that begins in one turn of the user and ends in the next.
const halves = (c) => {
  const at = 1 + c.r(c.value.length - 1);
  return [`well, ${c.phrase} ${c.value.slice(0, at)}`, `${c.value.slice(at)}, that is it`];
};
const schema = (t, c) => ({ type: 'object', description: t, properties: { to: { type: 'string', enum: [c.value], default: c.value, examples: [t], description: t } }, additionalProperties: false });
const argumentsOf = (c, t) => pick(c.r, [{ to: c.value }, { text: t }, { [c.value]: 1 }, { deep: [{ x: [t, 1.5, null, true] }] }, ...(c.number ? [{ n: Number(c.value) }] : [])]);
const call = (b, value) => {
  b.arguments ??= value; // the upstream repeats the first one
  return { id: 'call_0', type: 'function', function: { name: 'mail', arguments: JSON.stringify(value) } };
};

const chatFields = {
  ...shared,
  system: (b, t) => b.json.messages.unshift({ role: 'system', content: t }),
  developer: (b, t) => b.json.messages.splice(-1, 0, { role: 'developer', content: t }),
  'two turns': (b, t, c) => b.json.messages.splice(-1, 0, ...halves(c).map((content) => ({ role: 'user', content }))),
  'two parts': (b, t, c) => b.json.messages.splice(-1, 0, { role: 'user', content: halves(c).map((text) => ({ type: 'text', text })) }),
  'earlier user': (b, t) => b.json.messages.splice(-1, 0, { role: 'user', content: t }),
  parts: (b, t) => b.json.messages.splice(-1, 0, { role: 'user', content: [{ type: 'text', text: t.slice(0, t.length >> 1) }, { type: 'text', text: t.slice(t.length >> 1) }] }),
  assistant: (b, t) => b.json.messages.splice(-1, 0, { role: 'assistant', content: t }),
  'last user': (b, t) => (b.json.messages.at(-1).content += `, ${t}`),
  name: (b, t, c) => (b.json.messages.at(-1).name = identifier(c)),
  'call arguments': (b, t, c) => b.json.messages.splice(-1, 0, { role: 'assistant', content: null, tool_calls: [call(b, argumentsOf(c, t))] }, { role: 'tool', tool_call_id: 'call_0', content: 'done' }),
  'tool result': (b, t, c) => b.json.messages.splice(-1, 0, { role: 'assistant', content: null, tool_calls: [call(b, { a: 1 })] }, { role: 'tool', tool_call_id: 'call_0', content: JSON.stringify({ r: t }) }),
  'tool description': (b, t) => (b.json.tools = [{ type: 'function', function: { name: 'mail', description: t, parameters: { type: 'object' } } }]),
  'tool schema': (b, t, c) => (b.json.tools = [{ type: 'function', function: { name: 'mail', parameters: schema(t, c) } }]),
  'tool name': (b, t, c) => (b.json.tools = [{ type: 'function', function: { name: identifier(c), parameters: { type: 'object' } } }]),
  stop: (b, t, c) => (b.json.stop = [`${c.value} never said`]),
  schema: (b, t, c) => (b.json.response_format = { type: 'json_schema', json_schema: { name: 'x', schema: schema(t, c) } }),
  prediction: (b, t) => (b.json.prediction = { type: 'content', content: t }),
};
const formats = {
  chat: {
    path: '/v1/chat/completions', fields: chatFields, replies: ['content', 'content', 'thought', 'refusal', 'call'],
    json: (text) => ({ messages: [{ role: 'user', content: text }] }),
    last: (b) => b.json.messages.at(-1).content,
  },
  completions: {
    path: '/v1/completions', replies: ['content'],
    fields: { ...shared, prompt: (b, t) => (b.json.prompt += `, ${t}`), stop: (b, t, c) => (b.json.stop = [`${c.value} never said`]) },
    json: (text) => ({ prompt: text }), last: (b) => b.json.prompt,
  },
  messages: {
    path: '/v1/messages', replies: ['content', 'thought', 'call'],
    fields: {
      ...shared,
      system: (b, t) => (b.json.system = t),
      'system blocks': (b, t) => (b.json.system = [{ type: 'text', text: t }]),
      'two turns': (b, t, c) => b.json.messages.splice(-1, 0, ...halves(c).map((content) => ({ role: 'user', content }))),
      'last user': (b, t) => (b.json.messages.at(-1).content += `, ${t}`),
      'earlier turns': (b, t) => b.json.messages.splice(-1, 0, { role: 'user', content: [{ type: 'text', text: t }] }, { role: 'assistant', content: t }),
      'call and result': (b, t, c) => {
        const input = argumentsOf(c, t);
        b.arguments ??= input;
        b.json.messages.splice(-1, 0, { role: 'user', content: 'go' }, { role: 'assistant', content: [{ type: 'tool_use', id: 'toolu_0', name: 'mail', input }] },
          { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_0', content: t }] });
      },
      'tool schema': (b, t, c) => (b.json.tools = [{ name: 'mail', description: t, input_schema: schema(t, c) }]),
      'stop sequences': (b, t, c) => (b.json.stop_sequences = [`${c.value} never said`]),
      'user id': (b, t) => (b.json.metadata = { user_id: t }),
    },
    json: (text) => ({ max_tokens: 4096, messages: [{ role: 'user', content: text }] }), last: (b) => b.json.messages.at(-1).content,
  },
  responses: {
    path: '/v1/responses', replies: ['content', 'thought', 'call'],
    fields: {
      ...shared,
      instructions: (b, t) => (b.json.instructions = t),
      'two turns': (b, t, c) => b.json.input.splice(-1, 0, ...halves(c).map((content) => ({ role: 'user', content }))),
      'last user': (b, t) => (b.json.input.at(-1).content += `, ${t}`),
      'earlier turns': (b, t) => b.json.input.splice(-1, 0, { role: 'user', content: [{ type: 'input_text', text: t }] }, { role: 'assistant', content: [{ type: 'output_text', text: t }] }),
      'call and result': (b, t, c) => {
        const input = argumentsOf(c, t);
        b.arguments ??= input;
        b.json.input.splice(-1, 0, { type: 'function_call', call_id: 'call_0', name: 'mail', arguments: JSON.stringify(input) }, { type: 'function_call_output', call_id: 'call_0', output: t });
      },
      'tool schema': (b, t, c) => (b.json.tools = [{ type: 'function', name: 'mail', description: t, parameters: schema(t, c) }]),
      'text schema': (b, t, c) => (b.json.text = { format: { type: 'json_schema', name: 'x', schema: schema(t, c) } }),
    },
    json: (text) => ({ input: [{ role: 'user', content: text }] }), last: (b) => b.json.input.at(-1).content,
  },
  embeddings: {
    path: '/v1/embeddings', replies: ['vectors'],
    fields: { ...shared, input: (b, t) => b.json.input.push(t) },
    json: (text) => ({ input: [text] }), last: () => '',
  },
};
export const places = Object.entries(formats).flatMap(([name, f]) => Object.keys(f.fields).map((field) => `${name}: ${field}`));

// A body as JSON in one of the ways that programs write it.
function serialise(r, value) {
  const text = JSON.stringify(value), way = r(4);
  const escape = (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`;
  if (way === 0) return text.replace(/[^\x00-\x7f]/g, escape);
  if (way === 1) return text.replace(/[@.\-+/]/g, (c, at) => (insideString(text, at) ? escape(c) : c)); // as some libraries do
  if (way === 2) return JSON.stringify(value, null, 2);
  return text;
}
// Numbers hold these signs too; a sign with a letter before or behind it stands in a string.
const insideString = (text, at) => !/[0-9]/.test(text[at + 1] ?? '') || !/[-0-9.e:,[]/.test(text[at - 1] ?? '');

const rotation = [...Array(8).fill('chat'), ...Array(5).fill('messages'), ...Array(5).fill('responses'), 'embeddings', 'completions', 'completions'];

// A dialect that has words for all of a conversation.
function dialectFor(r, b) {
  const isText = b.format === 'completions', hasMore = b.reply === 'call' || b.places.some((p) => /tool|call|schema/.test(p));
  return pick(r, Object.keys(dialects).filter((d) => (isText ? dialects[d].isText : !hasMore || !dialects[d].isText) && dialects[d].replies.includes(b.reply)));
}

function converse(r, id) {
  const name = pick(r, rotation), format = formats[name];
  const b = { id, format: name, path: format.path, headers: '', canaries: [], places: [], reply: pick(r, format.replies), stream: r(3) > 0, arguments: null };
  b.json = { model: 'vectors', ...format.json(`conv${named(id)}x ${words(r, 5)}`) };
  for (let n = 1 + r(3); n > 0; n--) {
    const c = canary(r), times = 1 + r(2);
    c.r = r;
    b.canaries.push(c);
    for (let i = 0; i < times; i++) {
      const field = pick(r, Object.keys(format.fields));
      b.places.push(field);
      format.fields[field](b, `${words(r, 4)}, ${c.write()} ${words(r, 3)}`, c);
    }
  }
  if (b.reply === 'call' && !b.arguments) b.reply = 'content';
  if (b.reply === 'call' && !b.json.tools) b.json.tools = [name === 'chat' ? { type: 'function', function: { name: 'mail', parameters: { type: 'object' } } }
    : name === 'messages' ? { name: 'mail', input_schema: { type: 'object' } } : { type: 'function', name: 'mail', parameters: { type: 'object' } }];
  if (name === 'embeddings') return b;
  if (b.stream) b.json.stream = true;
  b.json.model = b.dialect = dialectFor(r, b);
  return b;
}

// --- what came back

const eventsOf = (text) => text.split('\n').filter((l) => l.startsWith('data:') && !l.includes('[DONE]')).map((l) => JSON.parse(l.slice(5)));
const join = (list, f) => list.map(f).filter((x) => x !== undefined && x !== null).join('');
const readers = {
  chat: (b, text) => {
    const list = b.json.stream ? eventsOf(text).map((e) => e.choices?.[0]?.delta ?? {}) : [JSON.parse(text).choices[0].message];
    return { content: join(list, (d) => d.content), thought: join(list, (d) => d.reasoning_content), call: join(list, (d) => d.tool_calls?.[0].function.arguments) };
  },
  completions: (b, text) => ({ content: join(b.json.stream ? eventsOf(text) : [JSON.parse(text)], (e) => e.choices?.[0]?.text) }),
  messages: (b, text) => {
    const blocks = b.json.stream ? eventsOf(text).map((e) => e.delta ?? {}) : JSON.parse(text).content;
    return { content: join(blocks, (d) => d.text), thought: join(blocks, (d) => d.thinking), call: join(blocks, (d) => d.partial_json ?? (d.input && JSON.stringify(d.input))) };
  },
  responses: (b, text) => {
    const response = b.json.stream ? eventsOf(text).findLast((e) => e.type === 'response.completed')?.response : JSON.parse(text);
    const of = (type) => response.output.filter((o) => o.type === type);
    const result = { content: join(of('message').flatMap((o) => o.content), (p) => p.text), thought: join(of('reasoning').flatMap((o) => o.summary), (p) => p.text),
      call: join(of('function_call'), (o) => o.arguments) };
    if (b.json.stream) // the pieces say the same as the whole
      assert.equal(join(eventsOf(text).filter((e) => e.type === 'response.output_text.delta'), (e) => e.delta), result.content);
    return result;
  },
};
const unmark = (s) => s.replace(/\[SECRET:[a-z-]+\]/g, '[secret]');

function expected(b, text) {
  let out = text;
  for (const c of b.canaries.filter((x) => x.oneWay)) for (const v of c.written) out = out.replaceAll(JSON.stringify(v).slice(1, -1), '[secret]').replaceAll(v, '[secret]');
  return out;
}

function check(b, text) {
  if (b.format === 'embeddings') return;
  const got = readers[b.format](b, text), last = expected(b, formats[b.format].last(b));
  if (b.reply === 'call') { // a number that was private comes back as its digits
    const numbers = (k, v) => (typeof v === 'number' ? String(v) : v);
    assert.deepEqual(JSON.parse(unmark(got.call), numbers), JSON.parse(expected(b, JSON.stringify(b.arguments)), numbers), 'the arguments of the call');
  } else {
    const isJson = b.reply !== 'thought' && b.places.some((p) => ['schema', 'text schema'].includes(p)); // there values come back escaped
    assert.equal(unmark(b.reply === 'thought' ? got.thought : got.content), isJson ? last.replaceAll('\\', '\\\\') : last, `the ${b.reply} of the answer`);
  }
}

// n conversations over `width` connections. {sent, answered, refused: {code: n}, received, bytes, leaks, wrong, places}
export async function prove({ n, seed = 1, width = 16, level = 2, deny = [] }) {
  const r = random(seed), conversations = new Map();
  const tally = { sent: 0, answered: 0, restored: 0, received: 0, bytes: 0, leaks: [], wrong: [], refused: {}, places: new Set(), formats: {} };
  const recorder = await startRecorder(random(seed + 1), conversations, tally);
  // rules: the words between the values are made up of random letters, which the tagger takes for names
  const mask = `level: ${level}, detect: rules, deny: ${JSON.stringify([...DENY, ...deny])}, patterns: ${JSON.stringify(PATTERNS)}`;
  const server = await startTandem(`
models:
${Object.keys(dialects).map((d) => `  ${d}: {kind: mask, inner: far-${d}, ${mask}}
  far-${d}: {kind: remote, url: "${recorder.url}/v1", model: big, format: ${d}}`).join('\n')}
  upstream: {kind: remote, url: "${recorder.url}/v1", model: big, embed: yes}
  vectors: {kind: mask, inner: upstream, ${mask}}
log: {level: error}
`);
  const one = async (client) => {
    const b = converse(r, tally.sent++);
    conversations.set(b.id, b);
    const { status, text } = await client.post(b.path, b.headers, serialise(r, b.json));
    conversations.delete(b.id);
    for (const field of b.places) tally.places.add(`${b.format}: ${field}`);
    try {
      if (status === 200 && !text.includes('"error":{"message"')) {
        tally.answered++;
        const kind = b.dialect ? `${b.format} to ${b.dialect}` : b.format;
        tally.formats[kind] = (tally.formats[kind] ?? 0) + 1;
        check(b, text);
      } else {
        const code = /"code":"([a-z_]+)"/.exec(text)?.[1] ?? /"type":"([a-z_]+)"/.exec(text.replace('"type":"error"', ''))?.[1] ?? String(status);
        tally.refused[`${status} ${code}`] = (tally.refused[`${status} ${code}`] ?? 0) + 1;
        if (status >= 500) tally.wrong.push({ why: `${status} ${text.slice(0, 300)}`, sent: JSON.stringify(b.json) });
      }
    } catch (e) {
      tally.wrong.push({ why: e.message.slice(0, 600), places: b.places, format: b.format, reply: b.reply, sent: JSON.stringify(b.json), got: text.slice(0, 300) });
    }
  };
  const started = performance.now();
  await Promise.all(Array.from({ length: Math.min(width, n) }, async () => {
    const client = connect(server.port);
    while (tally.sent < n && !tally.leaks.length && tally.wrong.length < 5) await one(client);
    client.failed = null;
    client.socket.destroy();
  }));
  tally.seconds = (performance.now() - started) / 1000;
  await server.stop();
  recorder.close();
  return tally;
}
