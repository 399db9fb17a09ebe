// One strict reader of streams per wire format. Each takes the bytes of a body and whether it ended cleanly, and throws
// at the first thing that some client takes badly: an event out of order, a missing index, a cut that looks whole. What
// it gives back is the same for all three: {state, text, thought, calls: [{id, name, arguments}], finish, usage,
// receipt, error}.
import assert from 'node:assert/strict';
import net from 'node:net';

const own = (object, keys, what) => assert.deepEqual(Object.keys(object).sort(), [...keys].sort(), what);
const decode = (bytes) => new TextDecoder('utf-8', { fatal: true }).decode(bytes);

// The events of a body: [{name, data}], with the comments left out. Every event is `data: JSON`, after `event: NAME`
// where the format has names, and an empty line.
function blocksOf(bytes, named) {
  const text = decode(bytes);
  assert.ok(!text.includes('\r'), 'no carriage returns');
  assert.ok(text === '' || text.endsWith('\n\n'), 'the last event is whole');
  return text.split('\n\n').slice(0, -1).filter((block) => block !== ': ping').map((block) => {
    const found = (named ? /^event: ([a-z_.]+)\ndata: ([^\n]+)$/ : /^data: ([^\n]+)$/).exec(block);
    assert.ok(found, `an event: ${block}`);
    if (!named && found[1] === '[DONE]') return { data: '[DONE]' };
    const data = JSON.parse(found.at(-1));
    if (named) assert.equal(data.type, found[1], 'the type repeats the name');
    return { name: found[1], data };
  });
}

// Arguments are JSON, unless the answer was cut for its length.
function checkCalls(calls, cut) {
  const ids = new Set();
  calls.forEach((call, i) => {
    assert.match(call.id, /^[A-Za-z0-9_-]{1,64}$/);
    assert.ok(!ids.has(call.id), `${call.id} is there twice`);
    ids.add(call.id);
    assert.ok(call.name.length > 0);
    if (!cut || i < calls.length - 1) assert.equal(typeof JSON.parse(call.arguments || '{}'), 'object');
  });
}

const checkCounts = (counts) => Object.values(counts).forEach((n) => assert.ok(Number.isInteger(n) && n >= 0, JSON.stringify(counts)));

// --- chat completions

function chatError(data, rest, clean) {
  assert.equal(typeof data.error, 'object', 'the error is an object');
  own(data.error, ['message', 'type', 'param', 'code']);
  assert.equal(rest, 0, 'nothing after an error');
  assert.ok(!clean, 'an error is no clean end');
  return data.error;
}

function chatCall(choice, delta) {
  assert.equal(delta.tool_calls.length, 1);
  const [piece] = delta.tool_calls, { calls } = choice;
  assert.ok(Number.isInteger(piece.index), 'a call has an index');
  if (piece.index === calls.length) {
    own(piece, ['index', 'id', 'type', 'function'], 'the first piece of a call');
    own(piece.function, ['name', 'arguments']);
    assert.deepEqual([piece.type, piece.function.arguments], ['function', '']);
    calls.push({ id: piece.id, name: piece.function.name, arguments: '' });
    return;
  }
  assert.equal(piece.index, calls.length - 1, 'one call ends before the next begins');
  own(piece, ['index', 'function'], 'a later piece of a call');
  own(piece.function, ['arguments']);
  assert.equal(typeof piece.function.arguments, 'string');
  calls.at(-1).arguments += piece.function.arguments;
}

function chatDelta(choice, delta) {
  const keys = Object.keys(delta);
  if (!choice.begun) {
    assert.deepEqual(delta, { role: 'assistant', content: '' }, 'the first delta has the role');
    choice.begun = true;
    return;
  }
  assert.ok(keys.length <= 1, `one thing at a time: ${keys}`);
  const [key] = keys;
  if (key === 'tool_calls') return chatCall(choice, delta);
  assert.ok(['content', 'reasoning_content'].includes(key), `a known delta: ${key}`);
  assert.ok(typeof delta[key] === 'string' && delta[key].length > 0, 'a delta has words');
  choice[key === 'content' ? 'text' : 'thought'] += delta[key];
}

function chatChunk(state, data, includeUsage) {
  const { id, created, model, system_fingerprint: print } = data;
  state.head ??= { id, created, model, print };
  assert.deepEqual({ id, created, model, print }, state.head, 'all chunks share their head');
  assert.equal(data.object, 'chat.completion.chunk');
  assert.match(id, /^chatcmpl-[A-Za-z0-9]{24}$/);
  assert.ok(Array.isArray(data.choices), 'a chunk has choices');
  if (!data.choices.length) {
    assert.ok(includeUsage && !state.usage, 'no empty choices but the usage chunk');
    assert.ok([...state.choices.values()].every((c) => c.finish), 'the usage is last');
    const { prompt_tokens, completion_tokens, total_tokens } = data.usage;
    checkCounts({ prompt_tokens, completion_tokens, total_tokens });
    assert.equal(total_tokens, prompt_tokens + completion_tokens);
    state.usage = { prompt: prompt_tokens, completion: completion_tokens };
    return;
  }
  assert.deepEqual('usage' in data ? data.usage : undefined, includeUsage ? null : undefined);
  for (const choice of data.choices) {
    assert.ok(Number.isInteger(choice.index));
    const at = state.choices.get(choice.index) ?? { text: '', thought: '', calls: [] };
    state.choices.set(choice.index, at);
    assert.ok(!at.finish, 'nothing after finish_reason');
    if (choice.finish_reason === null) chatDelta(at, choice.delta);
    else assert.deepEqual(choice.delta, {});
    at.finish = choice.finish_reason;
    if (at.finish) assert.ok(['stop', 'length', 'tool_calls', 'content_filter'].includes(at.finish), at.finish);
  }
  if (data.tandem) state.receipt = data.tandem;
}

export function readChat(bytes, clean, { includeUsage = false, choices = 1 } = {}) {
  const blocks = blocksOf(bytes, false), state = { choices: new Map() };
  let done = false, error;
  blocks.forEach(({ data }, i) => {
    assert.ok(!done, 'nothing after [DONE]');
    if (data === '[DONE]') done = true;
    else if ('error' in data) [error, state.receipt] = [chatError(data, blocks.length - 1 - i, clean), data.tandem];
    else chatChunk(state, data, includeUsage);
  });
  const all = [...state.choices.values()], first = all[0] ?? { text: '', thought: '', calls: [] };
  assert.equal(clean, done, 'a clean end has [DONE], and only that');
  assert.ok(clean || error, 'what is cut has an error');
  if (clean) {
    assert.equal(all.length, choices);
    assert.equal(Boolean(state.usage), includeUsage);
    for (const c of all) {
      assert.ok(c.finish, 'a clean end has a finish_reason');
      checkCalls(c.calls, c.finish !== 'tool_calls');
      assert.equal(c.finish === 'tool_calls', c.calls.length > 0 && !['length', 'content_filter'].includes(c.finish));
    }
    assert.ok(state.receipt, 'a receipt');
  }
  const stateName = !clean ? 'failed' : ['length', 'content_filter'].includes(first.finish) ? 'incomplete' : 'complete';
  return { state: stateName, text: first.text, thought: first.thought, calls: first.calls, finish: first.finish,
    usage: state.usage, receipt: state.receipt, error, all };
}

// --- messages

const stops = { end_turn: 'stop', stop_sequence: 'stop', max_tokens: 'length', model_context_window_exceeded: 'length',
  tool_use: 'tool_calls', refusal: 'content_filter' };

function startBlock(at, data) {
  const { content_block: block } = data;
  assert.ok(!at.open, 'one block at a time');
  assert.equal(data.index, at.n++, 'blocks are numbered');
  at.open = { type: block.type, deltas: [] };
  if (block.type === 'text') assert.deepEqual(block, { type: 'text', text: '' });
  else if (block.type === 'thinking') assert.deepEqual(block, { type: 'thinking', thinking: '', signature: '' });
  else {
    assert.deepEqual(block, { type: 'tool_use', id: block.id, name: block.name, input: {} });
    at.calls.push({ id: block.id, name: block.name, arguments: '' });
  }
}

function blockDelta(at, data) {
  assert.ok(at.open, 'a delta has its block');
  assert.equal(data.index, at.n - 1);
  const { delta } = data;
  const [key, type] = { text_delta: ['text', 'text'], thinking_delta: ['thinking', 'thinking'], signature_delta: ['signature', 'thinking'],
    input_json_delta: ['partial_json', 'tool_use'] }[delta.type] ?? assert.fail(`a known delta: ${delta.type}`);
  own(delta, ['type', key]);
  assert.equal(at.open.type, type, 'a delta is of its block');
  assert.ok(!at.open.signed, 'the signature is last');
  assert.equal(typeof delta[key], 'string');
  if (type === 'text') at.text += delta.text;
  else if (key === 'thinking') at.thought += delta.thinking;
  else if (key === 'signature') at.open.signed = true;
  else at.calls.at(-1).arguments += delta.partial_json;
}

const messageSteps = {
  message_start(at, { message }) {
    assert.ok(!at.begun);
    at.begun = true;
    assert.deepEqual([message.type, message.role, message.content, message.stop_reason, message.usage.output_tokens],
      ['message', 'assistant', [], null, 0]);
    checkCounts(message.usage);
    assert.match(message.tandem.receipt, /^rcp_/);
  },
  content_block_start: startBlock,
  content_block_delta: blockDelta,
  content_block_stop(at, data) {
    assert.ok(at.open && data.index === at.n - 1);
    if (at.open.type === 'thinking') assert.ok(at.open.signed, 'thoughts are signed');
    at.open = undefined;
  },
  message_delta(at, data) {
    assert.ok(!at.open && !at.finish);
    at.finish = stops[data.delta.stop_reason] ?? assert.fail(`a known stop_reason: ${data.delta.stop_reason}`);
    assert.ok(Number.isInteger(data.usage?.output_tokens), 'the last usage');
    at.usage = { prompt: data.usage.input_tokens + data.usage.cache_read_input_tokens, completion: data.usage.output_tokens };
    at.receipt = data.tandem;
  },
  message_stop(at) {
    assert.ok(at.finish, 'message_delta is before message_stop');
    at.ended = true;
  },
  ping() {},
  error(at, data) {
    assert.ok(data.error.type && data.error.message, 'an error has type and message');
    [at.error, at.receipt] = [data.error, data.tandem];
  },
};

export function readMessages(bytes, clean) {
  const at = { n: 0, text: '', thought: '', calls: [] };
  for (const { name, data } of blocksOf(bytes, true)) {
    assert.ok(!at.ended && !at.error, 'nothing after the end');
    assert.ok(Object.hasOwn(messageSteps, name), `a known event: ${name}`);
    assert.ok(at.begun || ['message_start', 'ping', 'error'].includes(name), 'message_start is first');
    messageSteps[name](at, data);
  }
  assert.equal(clean, Boolean(at.ended), 'a clean end has message_stop, and only that');
  assert.ok(clean || at.error, 'what is cut has an error');
  if (clean) {
    checkCalls(at.calls, at.finish !== 'tool_calls');
    assert.ok(at.receipt);
  }
  const state = !clean ? 'failed' : ['length', 'content_filter'].includes(at.finish) ? 'incomplete' : 'complete';
  return { state, text: at.text, thought: at.thought, calls: at.calls, finish: at.finish, usage: at.usage, receipt: at.receipt, error: at.error };
}

// --- responses

const responseKeys = ['id', 'object', 'created_at', 'status', 'model', 'output', 'error', 'incomplete_details', 'instructions', 'metadata',
  'parallel_tool_calls', 'tool_choice', 'tools', 'temperature', 'top_p', 'max_output_tokens', 'previous_response_id', 'reasoning', 'text',
  'truncation', 'store', 'user', 'usage', 'completed_at'];

export function checkResponse(response) {
  for (const key of responseKeys) assert.ok(key in response, `a response has ${key}`);
  assert.match(response.id, /^resp_[A-Za-z0-9]{24}$/);
  assert.equal(response.object, 'response');
  assert.equal(response.error !== null, response.status === 'failed');
  assert.equal(response.incomplete_details !== null, response.status === 'incomplete');
  if (response.usage) {
    const { input_tokens: i, output_tokens: o, total_tokens: t } = response.usage;
    checkCounts({ i, o, t, c: response.usage.input_tokens_details.cached_tokens, r: response.usage.output_tokens_details.reasoning_tokens });
    assert.equal(i + o, t);
  }
  return response;
}

const prefixes = { message: 'msg_', reasoning: 'rs_', function_call: 'fc_' };
const itemKeys = { message: ['id', 'type', 'status', 'role', 'content'], reasoning: ['id', 'type', 'status', 'summary'],
  function_call: ['id', 'type', 'status', 'call_id', 'name', 'arguments'] };

function itemAdded(at, { output_index: index, item }) {
  assert.ok(!at.open, 'one item at a time');
  assert.equal(index, at.items.length, 'items are numbered');
  assert.ok(item.id.startsWith(prefixes[item.type]), item.id);
  own(item, itemKeys[item.type]);
  assert.equal(item.status, 'in_progress');
  assert.deepEqual(item.content ?? item.summary ?? item.arguments, item.type === 'function_call' ? '' : []);
  at.open = { item, step: item.type === 'function_call' ? 1 : 0, text: '' };
}

// An event inside the open item: at which step it may come, and the step after it.
const within = (type, from, to, check) => (at, data) => {
  assert.ok(at.open, 'inside an item');
  assert.equal(at.open.item.type, type);
  assert.equal(data.item_id, at.open.item.id);
  assert.equal(data.output_index, at.items.length);
  if (type === 'message') assert.equal(data.content_index, 0);
  if (type === 'reasoning') assert.equal(data.summary_index, 0);
  assert.equal(at.open.step, from, `${data.type} has its place`);
  at.open.step = to;
  check(at.open, data);
};
const grow = (open, { delta }) => {
  assert.ok(typeof delta === 'string' && delta.length > 0, 'a delta has words');
  open.text += delta;
};
const same = (open, data) => assert.equal(data.text ?? data.arguments, open.text, 'what is done is what grew');
const samePart = (open, { part }) => assert.equal(part.text, open.text);
const emptyPart = (open, { part }) => assert.equal(part.text, '');

function itemDone(at, { output_index: index, item }) {
  assert.ok(at.open);
  assert.equal(index, at.items.length);
  assert.equal(at.open.step, item.type === 'function_call' ? 2 : 3, 'an item ends when its parts have');
  own(item, itemKeys[item.type]);
  assert.equal(item.id, at.open.item.id);
  assert.ok(['completed', 'incomplete'].includes(item.status));
  if (item.type === 'function_call') {
    assert.deepEqual([item.call_id, item.name, item.arguments], [at.open.item.call_id, at.open.item.name, at.open.text]);
    at.calls.push({ id: item.call_id, name: item.name, arguments: item.arguments });
  } else {
    const parts = item.content ?? item.summary;
    assert.deepEqual(parts.map((p) => [p.type, p.text]), [[item.type === 'message' ? 'output_text' : 'summary_text', at.open.text]]);
    at[item.type === 'message' ? 'text' : 'thought'] += at.open.text;
  }
  at.items.push(item);
  at.open = undefined;
}

const terminal = (status) => (at, { response }) => {
  assert.ok(!at.open || status === 'failed', 'every item is done');
  if (at.open && at.open.item.type !== 'function_call') at[at.open.item.type === 'message' ? 'text' : 'thought'] += at.open.text;
  checkResponse(response);
  assert.equal(response.status, status);
  assert.equal(response.id, at.id, 'one id');
  if (status !== 'failed') assert.deepEqual(response.output, at.items, 'the whole answer is what was streamed');
  Object.assign(at, { status, response, receipt: response.tandem });
  if (response.usage) at.usage = { prompt: response.usage.input_tokens, completion: response.usage.output_tokens };
};

const responseSteps = {
  'response.created'(at, { response }) {
    assert.equal(at.n, 1);
    checkResponse(response);
    assert.deepEqual([response.status, response.output, response.usage], ['in_progress', [], null]);
    at.id = response.id;
  },
  'response.in_progress': (at) => assert.equal(at.n, 2),
  'response.output_item.added': itemAdded,
  'response.output_item.done': itemDone,
  'response.content_part.added': within('message', 0, 1, emptyPart),
  'response.output_text.delta': within('message', 1, 1, (open, data) => { assert.ok(Array.isArray(data.logprobs)); grow(open, data); }),
  'response.output_text.done': within('message', 1, 2, same),
  'response.content_part.done': within('message', 2, 3, samePart),
  'response.reasoning_summary_part.added': within('reasoning', 0, 1, emptyPart),
  'response.reasoning_summary_text.delta': within('reasoning', 1, 1, grow),
  'response.reasoning_summary_text.done': within('reasoning', 1, 2, same),
  'response.reasoning_summary_part.done': within('reasoning', 2, 3, samePart),
  'response.function_call_arguments.delta': within('function_call', 1, 1, grow),
  'response.function_call_arguments.done': within('function_call', 1, 2, same),
  'response.completed': terminal('completed'),
  'response.incomplete': terminal('incomplete'),
  'response.failed': terminal('failed'),
  error(at, data) {
    assert.equal(at.status, 'failed', 'response.failed is before error');
    own(data, ['type', 'sequence_number', 'code', 'message', 'param'], 'flat');
    at.error = data;
  },
};

export function readResponses(bytes, clean) {
  const at = { n: 0, items: [], text: '', thought: '', calls: [] };
  for (const { name, data } of blocksOf(bytes, true)) {
    assert.ok(!at.error && (!at.status || name === 'error'), 'nothing after the end');
    assert.ok(Object.hasOwn(responseSteps, name), `a known event: ${name}`);
    assert.equal(data.sequence_number, at.n++, 'numbered without gaps');
    assert.ok(at.n > 2 || name === ['response.created', 'response.in_progress'][at.n - 1], 'created, in_progress, then the rest');
    responseSteps[name](at, data);
  }
  assert.equal(clean, ['completed', 'incomplete'].includes(at.status), 'a clean end has its last event, and only that');
  assert.ok(clean || at.error, 'what is cut has an error');
  const why = at.response?.incomplete_details?.reason;
  const finish = why ? { max_output_tokens: 'length', content_filter: 'content_filter' }[why] : at.calls.length ? 'tool_calls' : 'stop';
  if (clean) {
    checkCalls(at.calls, finish !== 'tool_calls');
    assert.ok(at.receipt);
  }
  const state = !clean ? 'failed' : at.status === 'incomplete' ? 'incomplete' : 'complete';
  return { state, text: at.text, thought: at.thought, calls: at.calls, finish, usage: at.usage, receipt: at.receipt, error: at.error,
    response: at.response };
}

// --- the formats side by side

export const formats = {
  chat: { path: '/v1/chat/completions', read: readChat,
    body: (q) => ({ model: q.model, messages: [...(q.system ? [{ role: 'system', content: q.system }] : []), ...q.messages],
      ...(q.max ? { max_tokens: q.max } : {}), ...(q.tools ? { tools: q.tools.map((f) => ({ type: 'function', function: f })) } : {}) }),
    whole: (a) => {
      const [{ message: m, finish_reason: finish }] = a.choices;
      return { text: m.content ?? '', thought: m.reasoning_content ?? '', finish, receipt: a.tandem,
        calls: (m.tool_calls ?? []).map((c) => ({ id: c.id, name: c.function.name, arguments: c.function.arguments })),
        usage: { prompt: a.usage.prompt_tokens, completion: a.usage.completion_tokens } };
    } },
  responses: { path: '/v1/responses', read: readResponses,
    body: (q) => ({ model: q.model, input: q.messages, ...(q.system ? { instructions: q.system } : {}), ...(q.max ? { max_output_tokens: q.max } : {}),
      ...(q.tools ? { tools: q.tools.map((f) => ({ type: 'function', ...f })) } : {}) }),
    whole: (a) => {
      checkResponse(a);
      const of = (type) => a.output.filter((item) => item.type === type);
      const why = a.incomplete_details?.reason, calls = of('function_call').map((c) => ({ id: c.call_id, name: c.name, arguments: c.arguments }));
      return { text: of('message').flatMap((m) => m.content).map((p) => p.text).join(''), calls, receipt: a.tandem,
        thought: of('reasoning').flatMap((r) => r.summary).map((p) => p.text).join(''),
        finish: why ? { max_output_tokens: 'length', content_filter: 'content_filter' }[why] : calls.length ? 'tool_calls' : 'stop',
        usage: { prompt: a.usage.input_tokens, completion: a.usage.output_tokens } };
    } },
  messages: { path: '/v1/messages', read: readMessages,
    body: (q) => ({ model: q.model, max_tokens: q.max ?? 10000, messages: q.messages, ...(q.system ? { system: q.system } : {}),
      ...(q.tools ? { tools: q.tools.map((f) => ({ name: f.name, input_schema: f.parameters })) } : {}) }),
    whole: (a) => {
      const of = (type) => a.content.filter((block) => block.type === type);
      return { text: of('text').map((b) => b.text).join(''), thought: of('thinking').map((b) => b.thinking).join(''), receipt: a.tandem,
        finish: stops[a.stop_reason], calls: of('tool_use').map((b) => ({ id: b.id, name: b.name, arguments: JSON.stringify(b.input) })),
        usage: { prompt: a.usage.input_tokens + a.usage.cache_read_input_tokens, completion: a.usage.output_tokens } };
    } },
};

// --- bytes of an answer: {status, headers, body, clean}. clean: it ended as its encoding says that it ends.

export function exchange(port, target, body, headers = []) {
  const text = JSON.stringify(body);
  const rq = [`POST ${target} HTTP/1.1`, 'Host: localhost', 'Connection: close', `Content-Length: ${Buffer.byteLength(text)}`, ...headers, '', text].join('\r\n');
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(rq));
    const parts = [];
    socket.on('data', (d) => parts.push(d));
    socket.on('error', () => {});
    socket.on('close', () => resolve(parse(Buffer.concat(parts))));
  });
}

function parse(bytes) {
  const end = bytes.indexOf('\r\n\r\n');
  assert.ok(end > 0, 'an answer has a head');
  const [line, ...rest] = bytes.subarray(0, end).toString('latin1').split('\r\n');
  const headers = Object.fromEntries(rest.map((h) => [h.slice(0, h.indexOf(':')).toLowerCase(), h.slice(h.indexOf(':') + 1).trim()]));
  const status = Number(line.split(' ')[1]);
  let at = end + 4;
  if (headers['content-length'] !== undefined) {
    const body = bytes.subarray(at);
    return { status, headers, body, clean: body.length === Number(headers['content-length']), json: tryJson(body) };
  }
  assert.equal(headers['transfer-encoding'], 'chunked');
  const body = [];
  for (;;) {
    const eol = bytes.indexOf('\r\n', at);
    if (eol < 0) return { status, headers, body: Buffer.concat(body), clean: false };
    const n = parseInt(bytes.subarray(at, eol).toString('latin1'), 16);
    if (n === 0) return { status, headers, body: Buffer.concat(body), clean: true };
    body.push(bytes.subarray(eol + 2, eol + 2 + n));
    at = eol + 2 + n + 2;
  }
}

function tryJson(body) {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

// One question in one format, streamed and read strictly, or whole. A refusal before the stream: {status, error}.
export async function ask(port, name, q, { stream = true, extra = {}, headers } = {}) {
  const format = formats[name];
  const includeUsage = stream && name === 'chat';
  const got = await exchange(port, format.path, { ...format.body(q), ...(stream ? { stream } : {}),
    ...(includeUsage ? { stream_options: { include_usage: true } } : {}), ...extra }, headers);
  if (got.status !== 200) return { status: got.status, headers: got.headers, state: 'refused', error: got.json.error, receipt: got.json.tandem };
  const read = stream ? format.read(got.body, got.clean, { includeUsage }) : format.whole(got.json);
  return { status: 200, headers: got.headers, body: got.body, ...read };
}
