#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "napi/runner.h"

namespace rnd1::napi {

struct SessionCore;

/** What a thread has to say on the JavaScript thread, where it is destroyed too. */
class Message {
 public:
  virtual ~Message() = default;
  virtual void deliver(Napi::Env env) = 0;
};

/**
 * What belongs to one JavaScript environment (the main thread or a worker): the way back onto its thread, its
 * runners, and its classes. When the environment goes away, every runner is interrupted and joined first.
 */
class Environment {
 public:
  explicit Environment(Napi::Env env);
  ~Environment() = default;

  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

  /** Delivers on the JavaScript thread, or only destroys it there when the environment is going away. Any
   * thread; allocates nothing of its own. */
  void post(std::unique_ptr<Message> message);

  /** While something is pending the process stays alive. JavaScript thread. */
  void hold(Napi::Env env);
  void unhold(Napi::Env env);

  /** A runner to stop before the environment goes away, if it still lives then. JavaScript thread. */
  void add(const std::shared_ptr<Runner>& runner);

  /** For calls without a session; made on first use. */
  const std::shared_ptr<Runner>& scoringRunner();

  /** What the constructor of `Session` takes over: null unless `Session.load` is making one. */
  std::shared_ptr<SessionCore> loaded;
  Napi::FunctionReference sessionClass;

 private:
  static void call(Napi::Env env, Napi::Function, std::nullptr_t*, Message* message);
  using Channel = Napi::TypedThreadSafeFunction<std::nullptr_t, Message, call>;

  void shutDown();

  Channel channel_;
  int pending_ = 0;
  std::vector<std::weak_ptr<Runner>> runners_;
  std::shared_ptr<Runner> scoringRunner_;
};

}  // namespace rnd1::napi
