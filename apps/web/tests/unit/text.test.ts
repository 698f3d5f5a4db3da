import assert from "node:assert/strict";
import { test } from "node:test";
import { waveform } from "../../src/core/waveform.js";
import { clock, duration, fileSize, handles, honestHost, initial, safeTarget } from "../../src/text.js";

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

test("sizes and lengths of time read like such", () => {
  const sizes = [0, 999, 1_000, 999_949, 999_950, 52_428_800, 2 ** 31].map((bytes) => fileSize(bytes, "en"));
  assert.deepEqual(sizes, ["0 byte", "999 byte", "1 kB", "999.9 kB", "1 MB", "52.4 MB", "2.1 GB"]);
  assert.deepEqual([0, 999, 65_000, 3_600_000, -1].map(clock), ["0:00", "0:00", "1:05", "60:00", "0:00"]);
});

test("a waveform has no more steps than asked for, and the loudest is 255", () => {
  const samples = Float32Array.from({ length: 1_000 }, (_, at) => (at < 500 ? 0 : at % 2 === 0 ? 0.5 : -0.5));
  assert.deepEqual(waveform(samples, 4), [0, 0, 255, 255]);
  assert.deepEqual(waveform(new Float32Array(10), 64), Array(10).fill(0));
  assert.equal(waveform(new Float32Array(1_001), 64).length <= 64, true);
  assert.deepEqual(waveform(new Float32Array(), 64), []);
});
