#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "backend/ops.h"

namespace rnd1 {

/** Over what the auxiliary loss, for load balance, averages before it multiplies: all layers together, or
 * each layer alone. */
enum class AuxScope { pooled, layer };

/** The input of one forward and backward pass: packed canvases, and the rows whose logits count. */
struct TrainingBatch {
  std::vector<int32_t> tokens;
  std::vector<int32_t> offsets;       // (canvases + 1) the starts of the canvases, then the number of tokens
  std::optional<AttentionMask> mask;  // instead of the layers' own
  std::vector<int32_t> rows;          // packed rows, strictly ascending
  std::vector<int32_t> targets;       // of each of these rows
  std::vector<float> weights;         // of their cross entropies
  // Coefficients of the losses of routers, which are means over all rows of the batch.
  double auxCoef = 0, zCoef = 0;
  AuxScope auxScope = AuxScope::layer;

  int64_t longest() const;
  /** Throws invalid_argument naming what is wrong. */
  void validate(int64_t vocabulary, int64_t maxPositions) const;
};

/** Where to write what a caller wants to know beside the losses; empty: nothing. */
struct TrainingReport {
  std::span<double> crossEntropies;  // of the scored rows of all batches, in nats
  std::span<double> expertRows;      // (layers with experts, experts) rows that chose the expert, added up
  // (batches + 1, parameters) squared norms of the gradient of each batch, then of all together; 0 for frozen
  // parameters. They take memory for one more gradient, and add batches up one after another, which
  // changes bits.
  std::span<double> squaredNorms;
};

/** In doubles. */
struct TrainingLosses {
  double main = 0;        // Σ weight · cross entropy
  double aux = 0, z = 0;  // of the routers, without their coefficients
  double routers = 0;     // both with their coefficients

  double total() const { return main + routers; }
};

}  // namespace rnd1
