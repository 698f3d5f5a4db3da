import assert from "node:assert/strict";
import { test } from "node:test";
import { duration, handles, honestHost, initial, safeTarget } from "../../src/text.js";

test("only the web and mail are links", () => {
  for (const target of ["https://example.org/a?b#c", "http://example.org", "mailto:ann@example.org"]) {
    assert.ok(safeTarget(target), target);
  }
  const hostile = [
    "javascript:alert(1)", " javascript:alert(1)", "java\nscript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,<script>", "vbscript:x",
    "file:///etc/passwd", "blob:https://example.org/1", "//example.org", "/assets/x", "#/c/1", "", "https://", "https://bank.example@evil.example/",
  ];
  for (const target of hostile) assert.equal(safeTarget(target), undefined, target);
});

test("a link whose words could deceive says where it leads", () => {
  const url = safeTarget("https://evil.example/login");
  assert.ok(url);
  assert.equal(honestHost(url, "https://bank.example"), "evil.example");
  assert.equal(honestHost(url, "evil.example"), undefined);
  assert.equal(honestHost(url, "https://evil.example/login"), undefined);
});

test("handles are read as people list them", () => {
  assert.deepEqual(handles(" @ann, bob\n@ann、carol，李雷 "), ["ann", "bob", "carol", "李雷"]);
  assert.deepEqual(handles("  "), []);
});

test("initials and durations", () => {
  assert.equal(initial("@ann"), "A");
  assert.equal(initial("北京"), "北");
  assert.equal(initial(""), "?");
  assert.equal(duration(7_200, "en"), "2 hours");
  assert.equal(duration(90, "en"), "90 seconds");
});
