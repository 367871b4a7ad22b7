#pragma once

#include <napi.h>

/** Objects that wrap native ones. Prototypes can be changed, type tags cannot: unwrapping a wrong object
 * would misread its memory. */
namespace rnd1::napi {

inline bool isTagged(const Napi::Value& value, const napi_type_tag& tag) {
  return value.IsObject() && value.As<Napi::Object>().CheckTypeTag(&tag);
}

/** The engine checks `this` of methods, but not of accessors: these are static and check it themselves. */
template <auto Getter>
void defineAccessor(const Napi::Function& constructor, const char* name) {
  constructor.Get("prototype")
      .As<Napi::Object>()
      .DefineProperty(Napi::PropertyDescriptor::Accessor<Getter>(name));
}

}  // namespace rnd1::napi
