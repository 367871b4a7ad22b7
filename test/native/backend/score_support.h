#pragma once

#include <string>
#include <vector>

#include "backends.h"

/** Shared by the tests of scores: plans, rows, calls, and comparison with float64. */
namespace rnd1::test {

/** Rows of one canvas after another: row r predicts position r + 1 of canvas r mod canvases. */
std::vector<ScoreRow> scoreRows(int64_t rows, int32_t canvases = 1);

/** Scores of the rows of given logits. */
std::vector<Score> scoreLogits(Backend& backend, const Matrix& logits, std::span<const ScoreRow> rows,
                               std::span<const SamplingPlan> plans);

/** Scores of hidden states times a head in host memory. */
std::vector<Score> scoreHidden(Backend& backend, const Matrix& x, const Weight& head,
                               std::span<const ScoreRow> rows, std::span<const SamplingPlan> plans);
std::vector<Score> scoreHidden(Backend& backend, const Matrix& x, const HostWeight& head,
                               std::span<const ScoreRow> rows, std::span<const SamplingPlan> plans);

/** Scores under guidance: of hidden states and those of the unconditional canvas. */
std::vector<Score> scoreGuided(Backend& backend, const Matrix& x, const Matrix& unconditional,
                               const Weight& head, std::span<const ScoreRow> rows,
                               std::span<const SamplingPlan> plans);

/** Expects the float64 scores of these logits, except for tokens that f32 cannot distinguish. */
void expectScores(const std::vector<Score>& actual, const Matrix& logits, std::span<const ScoreRow> rows,
                  std::span<const SamplingPlan> plans, Location location = Location::current());

/** Expects all fields to be equal. */
void expectSameScores(std::span<const Score> actual, std::span<const Score> expected, const std::string& what,
                      Location location = Location::current());

/** A plan with a fixed seed and round. */
SamplingPlan plan(float temperature, int32_t topK = 0, float topP = 0, bool greedy = true);

/** Plans of every kind: temperatures, each filter, both together, drawn or not. */
std::vector<SamplingPlan> everyPlan();

}  // namespace rnd1::test
