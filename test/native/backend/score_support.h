#pragma once

#include <string>
#include <vector>

#include "backends.h"

/** What the tests of scores share: plans, rows, calls, and scores against float64. */
namespace rnd1::test {

/** Rows of one canvas after another: row r predicts position r + 1 of canvas r mod canvases. */
std::vector<ScoreRow> scoreRows(int64_t rows, int32_t canvases = 1);

/** The rows of given logits. */
std::vector<Score> scoreLogits(Backend& backend, const Matrix& logits, std::span<const ScoreRow> rows,
                               std::span<const SamplingPlan> plans);

/** The rows of hidden states times a head in host memory. */
std::vector<Score> scoreHidden(Backend& backend, const Matrix& x, const Weight& head,
                               std::span<const ScoreRow> rows, std::span<const SamplingPlan> plans);
std::vector<Score> scoreHidden(Backend& backend, const Matrix& x, const HostWeight& head,
                               std::span<const ScoreRow> rows, std::span<const SamplingPlan> plans);

/** The scores of these logits by float64, but for tokens that f32 cannot tell apart. */
void expectScores(const std::vector<Score>& actual, const Matrix& logits, std::span<const ScoreRow> rows,
                  std::span<const SamplingPlan> plans, Location location = Location::current());

/** The same in every field. */
void expectSameScores(std::span<const Score> actual, std::span<const Score> expected, const std::string& what,
                      Location location = Location::current());

/** Always of the same seed and round. */
SamplingPlan plan(float temperature, int32_t topK = 0, float topP = 0, bool greedy = true);

/** Plans of every kind: temperatures, each filter, both together, drawn or not. */
std::vector<SamplingPlan> everyPlan();

}  // namespace rnd1::test
