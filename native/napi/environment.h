#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "napi/runner.h"

namespace rnd1::napi {

struct SessionCore;
struct TrainerCore;
class CacheHandle;

/** A message from any thread, delivered and destroyed on the JavaScript thread. */
class Message {
 public:
  virtual ~Message() = default;
  virtual void deliver(Napi::Env env) = 0;
};

/**
 * State of one JavaScript environment (main thread or worker): the channel to its thread, its runners and its
 * classes. All runners are interrupted and joined before the environment ends.
 */
class Environment {
 public:
  explicit Environment(Napi::Env env);
  ~Environment() = default;

  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

  /** Delivers on the JavaScript thread, or only destroys the message there if the environment is ending. Any
   * thread; allocates nothing itself. */
  void post(std::unique_ptr<Message> message);

  /** Keeps the process alive until `unhold`. JavaScript thread. */
  void hold(Napi::Env env);
  void unhold(Napi::Env env);

  /** Registers a runner, to be stopped before the environment ends. JavaScript thread. */
  void add(const std::shared_ptr<Runner>& runner);

  /** Runner for calls without a session; created on first use. */
  const std::shared_ptr<Runner>& scoringRunner();

  /** Passed by `Session.load` to the constructor of `Session`; null otherwise. */
  std::shared_ptr<SessionCore> loaded;
  Napi::FunctionReference sessionClass;
  /** Passed by `session.createCache` to the constructor of `KeyValueCache`; null otherwise. */
  std::shared_ptr<CacheHandle> allocated;
  Napi::FunctionReference cacheClass;
  /** Passed by `Trainer.open` to the constructor of `Trainer`; null otherwise. */
  std::shared_ptr<TrainerCore> openedTrainer;
  Napi::FunctionReference trainerClass;

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
