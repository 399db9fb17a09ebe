// The clients that people use, each behind the same few functions, so that one expectation holds for all of them:
// ask(q) gives {text, thought, calls: [{id, name, input}], finish, usage: {prompt, completion}} or raises.
//
// q: {model, messages: [{role, content}], max, tools: {name: schema}, signal, rounds}; rounds: what the tools of the
// rounds before said: [{calls, results}].
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { ChatAnthropic } from '@langchain/anthropic';
import { ChatOpenAI } from '@langchain/openai';
import { AIMessage, HumanMessage, SystemMessage, ToolMessage } from '@langchain/core/messages';
import { generateText, jsonSchema, streamText, tool } from 'ai';

const parse = (text) => (text === '' ? {} : JSON.parse(text));
const rounds = (q) => q.rounds ?? [];

// --- openai

const chatBody = (q) => ({
  model: q.model, ...(q.max ? { max_completion_tokens: q.max } : {}), ...q.extra,
  messages: [...q.messages, ...rounds(q).flatMap((r) => [{ role: 'assistant', content: null, tool_calls: r.calls.map((c) => ({ id: c.id, type: 'function',
    function: { name: c.name, arguments: JSON.stringify(c.input) } })) }, ...r.calls.map((c, i) => ({ role: 'tool', tool_call_id: c.id, content: r.results[i] }))])],
  ...(q.tools ? { tools: Object.entries(q.tools).map(([name, parameters]) => ({ type: 'function', function: { name, parameters } })) } : {}),
});
const chatAnswer = (message, finish, usage) => ({
  text: message.content ?? '', thought: message.reasoning_content ?? '', finish,
  calls: (message.tool_calls ?? []).map((c) => ({ id: c.id, name: c.function.name, input: parse(c.function.arguments) })),
  usage: usage && { prompt: usage.prompt_tokens, completion: usage.completion_tokens },
});

// As much code does it: choices[0] unchecked, no include_usage.
async function chatRaw(client, q) {
  const message = { content: '', reasoning_content: '', tool_calls: [] };
  let finish, tandem;
  for await (const part of await client.chat.completions.create({ ...chatBody(q), stream: true }, { signal: q.signal })) {
    const { delta } = part.choices[0];
    message.content += delta.content ?? '';
    message.reasoning_content += delta.reasoning_content ?? '';
    for (const c of delta.tool_calls ?? []) {
      const call = (message.tool_calls[c.index] ??= { id: '', function: { name: '', arguments: '' } });
      call.id += c.id ?? '';
      call.function.name += c.function.name ?? '';
      call.function.arguments += c.function.arguments;
    }
    finish = part.choices[0].finish_reason ?? finish;
    tandem = part.tandem ?? tandem;
    q.seen?.(delta.content);
  }
  return { ...chatAnswer(message, finish), receipt: tandem };
}

const responsesBody = (q) => ({
  model: q.model, ...(q.max ? { max_output_tokens: q.max } : {}), ...q.extra,
  input: [...q.messages, ...rounds(q).flatMap((r) => [...r.calls.map((c) => ({ type: 'function_call', call_id: c.id, name: c.name, arguments: JSON.stringify(c.input) })),
    ...r.calls.map((c, i) => ({ type: 'function_call_output', call_id: c.id, output: r.results[i] }))])],
  ...(q.tools ? { tools: Object.entries(q.tools).map(([name, parameters]) => ({ type: 'function', name, parameters, strict: null })) } : {}),
});
function responsesAnswer(r) {
  const of = (type) => r.output.filter((item) => item.type === type);
  const calls = of('function_call').map((c) => ({ id: c.call_id, name: c.name, input: parse(c.arguments) }));
  return { text: r.output_text ?? of('message').flatMap((m) => m.content).map((p) => p.text).join(''), calls, receipt: r.tandem,
    thought: of('reasoning').flatMap((i) => i.summary).map((p) => p.text).join(''),
    finish: r.status === 'incomplete' ? { max_output_tokens: 'length', content_filter: 'content_filter' }[r.incomplete_details.reason] : calls.length ? 'tool_calls' : 'stop',
    usage: { prompt: r.usage.input_tokens, completion: r.usage.output_tokens } };
}
async function responsesRaw(client, q) {
  let response;
  for await (const e of await client.responses.create({ ...responsesBody(q), stream: true }, { signal: q.signal })) {
    if (['response.completed', 'response.incomplete'].includes(e.type)) response = e.response;
    if (e.type === 'response.output_text.delta') q.seen?.(e.delta);
  }
  if (!response) throw new Error('the stream has no end');
  return responsesAnswer(response);
}

// --- anthropic

const stops = { end_turn: 'stop', stop_sequence: 'stop', max_tokens: 'length', tool_use: 'tool_calls', refusal: 'content_filter' };
const messagesBody = (q) => ({
  model: q.model, max_tokens: q.max ?? 1000, ...q.extra,
  messages: [...q.messages.filter((m) => m.role !== 'system'), ...rounds(q).flatMap((r) => [{ role: 'assistant', content: r.calls.map((c) => ({ type: 'tool_use', id: c.id, name: c.name, input: c.input })) },
    { role: 'user', content: r.calls.map((c, i) => ({ type: 'tool_result', tool_use_id: c.id, content: r.results[i] })) }])],
  ...(q.messages.some((m) => m.role === 'system') ? { system: q.messages.filter((m) => m.role === 'system').map((m) => m.content).join('\n') } : {}),
  ...(q.tools ? { tools: Object.entries(q.tools).map(([name, input_schema]) => ({ name, input_schema })) } : {}),
});
function messagesAnswer(m) {
  const of = (type) => m.content.filter((b) => b.type === type);
  return { text: of('text').map((b) => b.text).join(''), thought: of('thinking').map((b) => b.thinking).join(''), finish: stops[m.stop_reason], receipt: m.tandem,
    calls: of('tool_use').map((b) => ({ id: b.id, name: b.name, input: b.input })), signed: of('thinking').every((b) => b.signature),
    usage: { prompt: m.usage.input_tokens + (m.usage.cache_read_input_tokens ?? 0), completion: m.usage.output_tokens } };
}
async function messagesStream(client, q) {
  const stream = client.messages.stream(messagesBody(q), { signal: q.signal });
  if (q.seen) stream.on('text', q.seen);
  return messagesAnswer(await stream.finalMessage());
}

// --- LangChain

const lcMessage = (m) => new { system: SystemMessage, user: HumanMessage, assistant: AIMessage }[m.role](m.content);
const lcMessages = (q) => [...q.messages.map(lcMessage), ...rounds(q).flatMap((r) => [
  new AIMessage({ content: '', tool_calls: r.calls.map((c) => ({ id: c.id, name: c.name, args: c.input, type: 'tool_call' })) }),
  ...r.calls.map((c, i) => new ToolMessage({ tool_call_id: c.id, content: r.results[i] }))])];
const lcFinish = { stop: 'stop', length: 'length', tool_calls: 'tool_calls', content_filter: 'content_filter', ...stops };
function lcAnswer(m) {
  const meta = m.response_metadata, parts = Array.isArray(m.content) ? m.content : [{ type: 'text', text: m.content }];
  const status = meta.status === 'incomplete' ? { max_output_tokens: 'length', content_filter: 'content_filter' }[meta.incomplete_details?.reason]
    : meta.status === 'completed' ? (m.tool_calls?.length ? 'tool_calls' : 'stop') : undefined;
  if (m.invalid_tool_calls?.length) throw new Error(`invalid calls: ${JSON.stringify(m.invalid_tool_calls)}`);
  return { text: parts.filter((p) => p.type === 'text').map((p) => p.text).join(''), finish: status ?? lcFinish[meta.finish_reason ?? meta.stop_reason ?? m.additional_kwargs?.stop_reason],
    thought: parts.filter((p) => ['thinking', 'reasoning'].includes(p.type)).map((p) => p.thinking ?? p.reasoning ?? '').join('')
      || (m.additional_kwargs?.reasoning?.summary ?? []).map((p) => p.text).join(''),
    calls: (m.tool_calls ?? []).map((c) => ({ id: c.id, name: c.name, input: c.args })), message: m,
    usage: m.usage_metadata && { prompt: m.usage_metadata.input_tokens, completion: m.usage_metadata.output_tokens } };
}
function lcModel(server, q, kind) {
  const shared = { model: q.model, apiKey: 'k', maxRetries: q.retries ?? 0, ...(q.max ? { maxTokens: q.max } : {}), ...q.options };
  const model = kind === 'anthropic' ? new ChatAnthropic({ ...shared, anthropicApiUrl: server.origin })
    : new ChatOpenAI({ ...shared, configuration: { baseURL: server.base }, useResponsesApi: kind === 'responses' });
  return q.tools ? model.bindTools(Object.entries(q.tools).map(([name, parameters]) => ({ type: 'function', function: { name, description: name, parameters } }))) : model;
}
async function lcStream(model, q) {
  let all;
  for await (const part of await model.stream(lcMessages(q), { signal: q.signal })) {
    all = all ? all.concat(part) : part;
    if (part.content.length) q.seen?.(part.content);
  }
  return lcAnswer(all);
}

// --- AI SDK

const aiFinish = { stop: 'stop', length: 'length', 'tool-calls': 'tool_calls', 'content-filter': 'content_filter' };
const aiModels = {
  compatible: (server, q) => createOpenAICompatible({ name: 'tandem', baseURL: server.base, apiKey: 'k', includeUsage: true })(q.model),
  'openai.chat': (server, q) => createOpenAI({ baseURL: server.base, apiKey: 'k' }).chat(q.model),
  'openai.responses': (server, q) => createOpenAI({ baseURL: server.base, apiKey: 'k' }).responses(q.model),
  anthropic: (server, q) => createAnthropic({ baseURL: server.base, apiKey: 'k' })(q.model),
};
const aiCall = (server, kind, q) => ({
  model: aiModels[kind](server, q), maxRetries: q.retries ?? 0, maxOutputTokens: q.max, abortSignal: q.signal, providerOptions: q.providerOptions, headers: q.headers,
  allowSystemInMessages: true,
  messages: [...q.messages, ...rounds(q).flatMap((r) => [{ role: 'assistant', content: r.calls.map((c) => ({ type: 'tool-call', toolCallId: c.id, toolName: c.name, input: c.input })) },
    { role: 'tool', content: r.calls.map((c, i) => ({ type: 'tool-result', toolCallId: c.id, toolName: c.name, output: { type: 'text', value: r.results[i] } })) }])],
  ...(q.tools ? { tools: Object.fromEntries(Object.entries(q.tools).map(([name, schema]) => [name, tool({ inputSchema: jsonSchema(schema) })])) } : {}),
});
const aiCalls = (list) => list.map((c) => ({ id: c.toolCallId, name: c.toolName, input: c.input }));
async function aiWhole(server, kind, q) {
  const r = await generateText(aiCall(server, kind, q));
  return { text: r.text, thought: r.reasoningText ?? '', finish: aiFinish[r.finishReason] ?? r.finishReason, calls: aiCalls(r.toolCalls),
    usage: { prompt: r.usage.inputTokens, completion: r.usage.outputTokens }, result: r };
}
async function aiStream(server, kind, q) {
  const out = { text: '', thought: '', calls: [] }, list = [];
  for await (const part of streamText({ ...aiCall(server, kind, q), onError: () => {} }).fullStream) {
    if (part.type === 'error') throw part.error;
    if (part.type === 'abort') throw new Error('aborted');
    if (part.type === 'text-delta') { out.text += part.text; q.seen?.(part.text); }
    if (part.type === 'reasoning-delta') out.thought += part.text;
    if (part.type === 'tool-call') list.push(part);
    if (part.type === 'finish') Object.assign(out, { finish: aiFinish[part.finishReason] ?? part.finishReason, usage: { prompt: part.totalUsage.inputTokens, completion: part.totalUsage.outputTokens } });
  }
  return { ...out, calls: aiCalls(list) };
}

// --- all of them

// thoughts: whether this client shows them at all; format: which one it speaks.
export function clientsOf(server) {
  const oa = (q) => new OpenAI({ baseURL: server.base, apiKey: 'k', maxRetries: q.retries ?? 0, defaultHeaders: q.headers });
  const an = (q) => new Anthropic({ baseURL: server.origin, apiKey: 'k', maxRetries: q.retries ?? 0, defaultHeaders: q.headers });
  const list = [
    ['openai chat create', 'chat', 'whole', true, async (q) => { const a = await oa(q).chat.completions.create(chatBody(q), { signal: q.signal }); return { ...chatAnswer(a.choices[0].message, a.choices[0].finish_reason, a.usage), receipt: a.tandem }; }],
    ['openai chat raw stream', 'chat', 'stream', true, (q) => chatRaw(oa(q), q)],
    ['openai chat .stream()', 'chat', 'stream', true, async (q) => {
      const s = oa(q).chat.completions.stream({ ...chatBody(q), stream_options: { include_usage: true } }, { signal: q.signal });
      if (q.seen) s.on('content', q.seen);
      const a = await s.finalChatCompletion();
      return { ...chatAnswer(a.choices[0].message, a.choices[0].finish_reason, a.usage), receipt: a.tandem };
    }],
    ['openai responses create', 'responses', 'whole', true, async (q) => responsesAnswer(await oa(q).responses.create(responsesBody(q), { signal: q.signal }))],
    ['openai responses raw stream', 'responses', 'stream', true, (q) => responsesRaw(oa(q), q)],
    ['openai responses .stream()', 'responses', 'stream', true, async (q) => {
      const s = oa(q).responses.stream(responsesBody(q), { signal: q.signal });
      if (q.seen) s.on('response.output_text.delta', (e) => q.seen(e.delta));
      return responsesAnswer(await s.finalResponse());
    }],
    ['anthropic create', 'messages', 'whole', true, async (q) => messagesAnswer(await an(q).messages.create(messagesBody(q), { signal: q.signal }))],
    ['anthropic .stream()', 'messages', 'stream', true, (q) => messagesStream(an(q), q)],
  ];
  for (const [kind, format] of [['chat', 'chat'], ['responses', 'responses'], ['anthropic', 'messages']]) {
    list.push([`LangChain ${kind} invoke`, format, 'whole', kind !== 'chat', async (q) => lcAnswer(await lcModel(server, q, kind).invoke(lcMessages(q), { signal: q.signal }))]);
    list.push([`LangChain ${kind} stream`, format, 'stream', kind !== 'chat', (q) => lcStream(lcModel(server, q, kind), q)]);
  }
  for (const [kind, format] of [['compatible', 'chat'], ['openai.chat', 'chat'], ['openai.responses', 'responses'], ['anthropic', 'messages']]) {
    list.push([`AI SDK ${kind} generateText`, format, 'whole', kind !== 'openai.chat', (q) => aiWhole(server, kind, q)]);
    list.push([`AI SDK ${kind} streamText`, format, 'stream', kind !== 'openai.chat', (q) => aiStream(server, kind, q)]);
  }
  return list.map(([name, format, way, thoughts, ask]) => ({ name, format, way, thoughts, ask, family: name.split(' ')[0] }));
}
