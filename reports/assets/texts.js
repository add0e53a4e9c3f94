// Lines of text by number, as harness/report/item_browser.py and packed_texts.py write them.
// Both kinds have line(i), and holding(word): for each line 1 if it has the word in it.

const plainTexts = (strings) => {
  let lowered = null;
  return {
    line: (index) => strings[index],
    holding: (word) => {
      lowered ??= strings.map((text) => text.toLowerCase());
      const has = new Uint8Array(lowered.length);
      for (let i = 0; i < lowered.length; i++) if (lowered[i].includes(word)) has[i] = 1;
      return has;
    },
  };
};

// A line is the numbers of its words, ended by that of "\n": a word is looked up once among the
// different ones, then only numbers are compared.
const packedTexts = (words, tokens, count) => {
  const end = words.indexOf("\n");
  const starts = new Uint32Array(count + 1);
  for (let i = 0, line = 0; i < tokens.length; i++) if (tokens[i] === end) starts[++line] = i + 1;
  let lowered = null;
  return {
    line: (index) => {
      const own = tokens.subarray(starts[index], starts[index + 1] - 1);
      return Array.from(own, (token) => words[token]).join(" ");
    },
    holding: (word) => {
      lowered ??= words.map((text) => text.toLowerCase());
      const hit = new Uint8Array(words.length);
      for (let i = 0; i < lowered.length; i++) if (lowered[i].includes(word)) hit[i] = 1;
      const has = new Uint8Array(count);
      for (let i = 0, line = 0; i < tokens.length; i++) {
        if (tokens[i] === end) line++; else if (hit[tokens[i]]) has[line] = 1;
      }
      return has;
    },
  };
};

const numbers = (bytes, count) => {  // LEB128
  const found = new Uint32Array(count);
  for (let at = 0, i = 0; i < count; i++) {
    let value = bytes[at] & 127;
    for (let shift = 7; bytes[at++] > 127; shift += 7) value |= (bytes[at] & 127) << shift;
    found[i] = value;
  }
  return found;
};

const fromBase64 = (text) => {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
};

const readData = async (block) => {
  if (block.type === "application/json") {
    const data = JSON.parse(block.textContent);
    return { ...data, texts: plainTexts(data.strings) };
  }
  const stream = new Blob([fromBase64(block.textContent)]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const end = bytes.indexOf(10);
  const data = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
  return { ...data, texts: packedTexts(data.words, numbers(bytes.subarray(end + 1), data.tokens), data.lines) };
};
