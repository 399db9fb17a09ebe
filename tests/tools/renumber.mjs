// renumber.mjs IN OUT [N]: the same weights with every token's number counted from the other end, and without the last
// N merges (300): a model that writes what the other one writes, with another tokenizer.
import { readFileSync, writeFileSync } from 'node:fs';
import { renumber } from '../integration/gguf.mjs';

const [from, to, n = '300'] = process.argv.slice(2);
if (!to) {
  console.error('usage: renumber.mjs IN OUT [N]');
  process.exit(2);
}
writeFileSync(to, renumber(readFileSync(from), Number(n)));
