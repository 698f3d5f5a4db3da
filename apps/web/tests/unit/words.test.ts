import assert from "node:assert/strict";
import { test } from "node:test";
import { preferred, say, tables } from "../../src/words.js";

test("every language says everything, with the same blanks", () => {
  const blanks = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
  for (const [language, table] of Object.entries(tables)) {
    for (const [word, english] of Object.entries(tables.en)) {
      const text = table[word as keyof typeof tables.en];
      assert.ok(text.trim() !== "", `${language} ${word}`);
      assert.deepEqual(blanks(text), blanks(english), `${language} ${word}`);
    }
  }
});

test("the person's first known language is taken", () => {
  assert.equal(preferred(["fr-FR", "zh-CN", "en"]), "zh");
  assert.equal(preferred(["fr"]), "en");
  assert.equal(say("topicRemoved", { who: "@ann" }), "@ann removed the topic");
});
