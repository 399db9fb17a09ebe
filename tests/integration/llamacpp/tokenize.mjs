// The vocabulary of a weight file in llama.cpp (through node-llama-cpp) and in Tandem, on the same strings.
//
// usage: node tokenize.mjs TANDEM FILE.gguf [COUNT [TEXT-FILE]]
// Prints every string that differs and then one line of JSON: {"strings": n, "differ": n}. Exit code 1 when more differ
// than characters newer than Unicode 14 explain: llama.cpp knows Unicode 15, the regular expressions of PCRE2 10.42 do not.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const PARTS = [
  " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n", "\u00a0", "\u3000", "\u2003", "\u180e", "\u200b", "\u0085",
  "\u2028", "a", "B", "é", "e\u0301", "ß", "İ", "日本語", "한국어", "العربية", "עברית", "ไทย", "हिन्दी", "Ελλάδα", "мир", "🙂",
  "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "❤️", "0", "7", "42", "3.14159", "1,000,000", "٣٤", "Ⅷ", "½", "²", "①", "'s", "'t", "'re", "'LL",
  "don't", "it's", "...", "!?", "—", "“q”", "«x»", "$5", "€7", "<|im_start|>", "<|im_end|>", "<|endoftext|>",
  "<|eot_id|>", "</s>", "<s>", "[INST]", "<<SYS>>", "<0x0A>", "▁", "Ġ", "Ċ", '{"k": [1, 2]}',
  "for (int i = 0; i < n; i++) {", "\tif (x != NULL)\n\t\treturn -1;\n", "def f(x):\n    return x**2",
  "http://a.b/c?d=e&f=%20", "foo@bar.com", "PERSON_00A7KQ2F", "ABC123", "x_y-z", "CamelCase", "\u0000", "\u0007",
  "\u007f", "\ufffd", "\ufeff", "\u{10ffff}", "𝔘𝔫𝔦", "ǅ", "ﬁ", "Ａ１", "´", "`", "^", "~", "+", "=", "|", "\\", "々", "〇",
];

// mulberry32: a small seeded generator, so that every run compares the same strings.
function random(seed) {
  return (n) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * n);
  };
}

export function makeStrings(count, text = "") {
  const below = random(7);
  const pick = (list) => list[below(list.length)];
  const lines = text.split("\n").filter((line) => line.length > 20);
  const strings = [...PARTS];
  for (const c of [" ", "a", "\n", "1", "!", "é", "😀"]) strings.push(c.repeat(300));
  while (strings.length < count) {
    const kind = below(lines.length ? 3 : 2);
    if (kind === 2) {
      strings.push(pick(lines));
      continue;
    }
    let s = "";
    for (let k = below(12) + 1; k > 0; k--) {
      const c = below(0x3000);
      s += kind === 0 ? pick(PARTS) : String.fromCodePoint(c) + (below(3) ? "" : " ");
    }
    strings.push(s);
  }
  return strings;
}

async function main([tandem, model, count = "2500", textFile]) {
  const { getLlama, LlamaLogLevel } = await import("node-llama-cpp");
  const strings = makeStrings(Number(count), textFile ? readFileSync(textFile, "utf8") : "");
  const llama = await getLlama({ build: "never", gpu: false, logLevel: LlamaLogLevel.error });
  const theirs = await llama.loadModel({ modelPath: model, vocabOnly: true });
  const input = strings.map((s) => JSON.stringify(s)).join("\n") + "\n";
  const output = execFileSync(tandem, ["tokens", "--model", model], { input, maxBuffer: 1 << 30 });
  const ours = output.toString().trim().split("\n");
  let differ = 0;
  strings.forEach((s, i) => {
    const expected = JSON.stringify([...theirs.tokenize(s, false)]);
    if (expected === ours[i]) return;
    differ++;
    console.log(`${JSON.stringify(s)}\n  llama.cpp ${expected}\n  tandem    ${ours[i]}`);
  });
  console.log(JSON.stringify({ strings: strings.length, differ }));
  await theirs.dispose();
  return differ > strings.length / 1000 ? 1 : 0;
}

if (process.argv[1] === new URL(import.meta.url).pathname) process.exit(await main(process.argv.slice(2)));
