#pragma once

#include <cstdint>
#include <vector>

#include "backend/backend.h"
#include "model/prediction.h"

/** The description of a model's graph, which TypeScript makes of config.json. */
namespace rnd1 {

struct AttentionShape {
  HeadLayout heads;
  bool bias = false;       // of the projections of queries, keys and values
  bool headNorms = false;  // an RMSNorm of every query and key head
  int64_t rotaryWidth = 0;
  double ropeTheta = 0;
  AttentionMask mask = {};
};

/** An MLP of one layer: dense, or experts if there are any. */
struct MlpShape {
  int64_t width = 0;  // of the dense MLP, or of an expert
  int64_t experts = 0;
  int64_t expertsPerToken = 0;
  int64_t sharedWidth = 0;  // of a dense MLP beside the experts; 0: none
  bool selectionBias = false;
  bool normalise = false;
  RouterScore score = RouterScore::softmax;
  ExpertGroups groups = {};
  float scale = 1;
};

/** What the router of the layer does; its selection bias is a weight, and not part of it. */
RouteOptions routeOptions(const MlpShape& mlp);

struct LayerShape {
  AttentionShape attention;
  MlpShape mlp;
};

struct Architecture {
  std::vector<LayerShape> layers;
  int64_t hidden = 0;
  int64_t vocabulary = 0;
  int64_t maxPositions = 0;
  float rmsNormEpsilon = 0;
  bool tiedHead = false;
  Prediction prediction;

  /** Of the layers that have experts; all agree on the two numbers, which are 0 if there are none. */
  int64_t expertLayers() const;
  int64_t experts() const;
  int64_t expertsPerToken() const;

  /** Throws Error unsupported_model for impossible sizes. A last check: the errors of lib/families/ are more
   * detailed. */
  void validate() const;
};

}  // namespace rnd1
