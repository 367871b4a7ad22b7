#pragma once

#include "backend/cpu/quantized/quantized_ops.h"
#include "core/quantized.h"

/** Pairs of panels as kernel arguments. */
namespace rnd1::cpu {

inline PanelView panelOf(const Weight& weight, int64_t panel, const QuantizedFormat& format) {
  const int64_t scales = panel * format.groups() * rnd1::panelRows;
  return {reinterpret_cast<const uint8_t*>(weight.data + panel * rnd1::panelRows * weight.strideBytes),
          weight.scales + scales, weight.minimums ? weight.minimums + scales : nullptr};
}

inline PanelPair pairOf(const PanelView& first, const PanelView& second, const QuantizedFormat& format) {
  return {{first, second}, {{first.values, second.values}, 0}, format.groups(), format.group, format.dtype};
}

/** Number of pairs of neighbouring panels in one weight; an unpaired last panel is used twice. */
inline int64_t pairsOf(const Weight& weight) { return (weight.rows + panelPair - 1) / panelPair; }

inline PanelPair neighbours(const Weight& weight, int64_t pair, const QuantizedFormat& format) {
  const int64_t panels = (weight.rows + rnd1::panelRows - 1) / rnd1::panelRows;
  const int64_t second = 2 * pair + 1 < panels ? 2 * pair + 1 : 2 * pair;
  return pairOf(panelOf(weight, 2 * pair, format), panelOf(weight, second, format), format);
}

}  // namespace rnd1::cpu
