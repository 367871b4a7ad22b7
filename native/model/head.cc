#include "model/head.h"

namespace rnd1 {

void Head::loadEmbedding(Loader& loader) {
  embedding_ = loader.loadUnquantized("embedding", {architecture_.vocabulary, architecture_.hidden});
}

void Head::loadHead(Loader& loader) {
  norm_ = loader.loadUnquantized("norm", {architecture_.hidden});
  lmHead_ = architecture_.tiedHead
                ? embedding_
                : loader.loadMatmul("head", {architecture_.vocabulary, architecture_.hidden});
}

Tensor Head::logits(Tensor normed) {
  logits_.reserve(sizeProduct(normed.rows, architecture_.vocabulary));
  const Tensor logits(logits_.data(), normed.rows, architecture_.vocabulary);
  backend_.logits(normed, lmHead_, logits);
  return logits;
}

}  // namespace rnd1
