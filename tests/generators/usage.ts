// Compiled by the tests: what a client of the API writes, held to the generated types.
import type { components, operations } from "./api";

type Body = operations["createSearch"]["requestBody"]["content"]["application/json"];
type Accepted = operations["createSearch"]["responses"][202]["content"]["application/json"];
type Best = components["schemas"]["BestRead"];

export const smallest: Body = {
  dataset: "digits",
  space: { family: "mlp" },
  strategy: { name: "random" },
};
export const searched: Body = {
  dataset: "digits",
  space: { family: "cnn_cell", channels: { choice: [8, 16] } },
  training: { learning_rate: { low: 0.001, high: 0.1, log: true } },
  strategy: { name: "regularized_evolution", population_size: 10, sample_size: 3 },
  budget: { trials: 30 },
};
// @ts-expect-error: there is no such strategy
export const wrong: Body = { dataset: "digits", strategy: { name: "none_of_ours" } };

export const where = (search: Accepted): string => search.links.self;
export const scores = (best: Best): number[] =>
  best.items.map((item) => item.final_metrics?.["test_accuracy"]?.mean ?? 0);
