/** The lesson that every view brings along: how to read it, on the explanation at hand. */

import { quoted } from "./format";
import { layerCurve } from "./panels/layers";
import { explainedWords, type State, wordWeight } from "./state";
import type { LessonStep, Word } from "./wire";

export function builtInLesson(s: State): LessonStep[] {
  const words = explainedWords(s.e).filter(({ text }) => /[\p{L}\p{N}]/u.test(text));
  const weight = (word: Word) => wordWeight(s.e, s.shades.value, word);
  const best = words.reduce<Word | undefined>((a, b) => (a && weight(a) >= weight(b) ? a : b), undefined);
  if (!best) return [];
  const name = quoted(best.text);
  const steps = best.steps.filter((step) => s.e.entryOf.has(step));
  const { layers } = s.e.header;
  const all: [number, number] = [layers[0]!, layers.at(-1)!];
  const { visual } = layerCurve(s);
  const layer = layers[visual.indexOf(Math.max(...visual))]!;
  const silent = words.find((word) => !weight(word));
  return [
    {
      text: `The deeper a word’s shade, the more the image rather than the text drove it; here ${weight(best) ? `${name} most` : "no word at all"}.`,
      state: {
        steps,
        heads: null,
        head_filter: "max",
        filler_filter: "max",
        relu: true,
        method: "dexar",
        layer_mode: "range",
        layers: all,
      },
      quiz: { question: `Where in the image would you look for ${name}?` },
    },
    {
      text: `One layer alone: layer ${layer} reads most from the image. The keys [ and ] go one back and on; see where the map settles.`,
      state: { layer_mode: "single", layers: [layer, layer] },
    },
    {
      text: "All layers, without the head filter: heads that mostly read the text add their maps too. H puts the filter back; compare.",
      state: { layer_mode: "range", layers: all, head_filter: "none" },
    },
    {
      text: silent
        ? `${quoted(silent.text)} is silenced: what reads the text most outweighs what reads the image most. The line under the answer names both. F lets such words into the whole answer’s map.`
        : "A word that reads the text more than the image is silenced: left out of the whole answer’s map. Here there is none.",
      state: { head_filter: "max", steps: silent ? silent.steps.filter((step) => s.e.entryOf.has(step)) : [] },
    },
    {
      text: "The map shows sensitivity: how more attention to a patch would change the word. It does not show use. Only hiding a region and asking again does; Failures has that check.",
      state: { steps },
    },
  ];
}
