// The contract, run over a real S3 server: SEAWALL_TEST_S3="http://127.0.0.1:7480 KEY SECRET BUCKET [CA_FILE]". The
// bucket is made if it is not there. Not run by ctest: whoever has started a server runs it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "base/clock.hh"
#include "base/error.hh"
#include "base/log.hh"
#include "storage/contract/store_contract.hh"
#include "storage/s3/s3_store.hh"
#include "storage/s3/signer.hh"
#include "storage/wrap/retry.hh"

namespace seawall::storage::s3 {
namespace {

struct Server {
  std::string url, key, secret, bucket, ca_file;
};

/// Nothing unless all that is needed is given.
std::optional<Server> server_of_environment() {
  const char* text = std::getenv("SEAWALL_TEST_S3");
  std::istringstream words(text == nullptr ? "" : text);
  Server server;
  words >> server.url >> server.key >> server.secret >> server.bucket >> server.ca_file;
  return server.bucket.empty() ? std::nullopt : std::optional(std::move(server));
}

Lookup lookup_of(const Server& server) {
  const std::map<std::string, std::string, std::less<>> values{{"AWS_ACCESS_KEY_ID", server.key},
                                                               {"AWS_SECRET_ACCESS_KEY", server.secret}};
  return [values](std::string_view key) -> std::optional<std::string> {
    const auto found = values.find(key);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  };
}

/// One store for all checks, as a process has it: what was learnt of the server stays known.
class World {
 public:
  explicit World(Server server) : server_(std::move(server)) {
    make_bucket(server_.bucket);
    set(settings_.endpoint, server_.url);
    set(settings_.force_path_style, "true");
    set(settings_.ca_cert_file, server_.ca_file);
    set(settings_.prefix, "s3://" + server_.bucket + "/contract/of " + std::to_string(::getpid()));
    newer_ = open(settings_, cache());
    retried_ = with_retry(open(settings_), {}, log_, clock_);
    set(settings_.use_list_objects_v1, "true");
    set(settings_.delete_batch_size, "7");
    older_ = open(settings_);
    set(settings_.use_list_objects_v1, "false");
  }

  Store& store(std::string_view name) { return name == "older" ? *older_ : name == "retried" ? *retried_ : *newer_; }
  std::optional<bool> put_if_absent() const { return honoured_; }
  const Server& server() const { return server_; }
  S3Settings& settings() { return settings_; }

  template <class T>
  static void set(config::Setting<T>& setting, const std::string& text) {
    setting.parse(text, config::Origin{});
  }
  std::unique_ptr<Store> open(const S3Settings& settings, PutIfAbsentCache cache = {}) {
    return make_s3_store(settings, lookup_of(server_), clock_, log_, std::move(cache));
  }
  void make_bucket(const std::string& name) { request(name, "", {200, 409}); }
  void keep_versions(const std::string& name) {
    request(name + "?versioning=",
            "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>Enabled</Status>"
            "</VersioningConfiguration>",
            {200});
  }

 private:
  void request(const std::string& target, const std::string& body, const std::set<int>& good) {
    http::Client client({.ca_file = server_.ca_file});
    http::Request request{.method = "PUT", .url = server_.url + "/" + target, .body = bytes_of(body)};
    sign(request, {.access_key = server_.key, .secret_key = server_.secret}, "us-east-1", "s3", clock_.wall(),
         Payload::hashed);
    const int status = client.perform(request, {}).status;
    if (!good.contains(status)) throw Error(Errc::config, "PUT " + target + ": status " + std::to_string(status));
  }
  PutIfAbsentCache cache() {
    return {.recall = [this] { return honoured_; }, .keep = [this](bool honoured) { honoured_ = honoured; }};
  }

  Server server_;
  SystemClock clock_;
  FdLog log_{STDERR_FILENO, LogLevel::warning, LogFormat::text, clock_};
  std::optional<bool> honoured_;
  S3Settings settings_;
  std::unique_ptr<Store> newer_, older_, retried_;
};

std::unique_ptr<World> world;

class S3Contract : public testing::TestWithParam<std::tuple<std::string, contract::StoreCheck>> {};

TEST_P(S3Contract, holds) {
  const auto& [name, check] = GetParam();
  // Beside the checks of the other stores, and of odd letters.
  contract::run_check(check, world->store(name), name + " +&/");
}

INSTANTIATE_TEST_SUITE_P(
    Every, S3Contract,
    testing::Combine(testing::Values("newer", "older", "retried"),
                     testing::ValuesIn(contract::store_checks().begin(), contract::store_checks().end())),
    [](const auto& test) { return std::get<0>(test.param) + "_" + std::string(std::get<1>(test.param).name); });

std::vector<std::string> versions(Store& store) {
  std::vector<std::string> all;
  store.list({.prefix = "versions/", .all_versions = true},
             [&](const ObjectInfo& object) {
               all.push_back(object.key + (object.latest ? " latest" : "") + (object.deleted ? " deleted" : "") + " " +
                             std::to_string(object.bytes));
               return true;
             },
             {});
  return all;
}

TEST(S3Features, VersionsAreListedAndRemoved) {
  const std::string bucket = world->server().bucket + "-versions";
  world->make_bucket(bucket);
  world->keep_versions(bucket);
  World::set(world->settings().prefix, "s3://" + bucket + "/of " + std::to_string(::getpid()));
  const auto plain = world->open(world->settings());
  World::set(world->settings().enable_versioning, "enabled");
  const auto thorough = world->open(world->settings());
  World::set(world->settings().enable_versioning, "");
  plain->put("versions/a", bytes_of("1"), {}, {});
  plain->put("versions/a", bytes_of("22"), {}, {});
  plain->put("versions/ab", bytes_of("333"), {}, {});
  const std::vector<std::string> a{"versions/a"};
  EXPECT_TRUE(plain->remove(a, {}).empty());
  EXPECT_FALSE(plain->stat("versions/a", {}));
  const std::vector<std::string> kept{"versions/a latest deleted 0", "versions/a 2", "versions/a 1",
                                      "versions/ab latest 3"};
  EXPECT_EQ(versions(*plain), kept);
  EXPECT_TRUE(thorough->remove(a, {}).empty());
  EXPECT_EQ(versions(*plain), std::vector<std::string>{"versions/ab latest 3"});
  const std::vector<std::string> ab{"versions/ab"};
  EXPECT_TRUE(thorough->remove(ab, {}).empty());
  EXPECT_TRUE(versions(*plain).empty());
}

std::string content(Store& store, std::string_view key) {
  const auto source = store.try_open(key, {}, {});
  std::string text(std::size_t{16} << 20, '\0');
  text.resize(source ? read_full(*source, std::as_writable_bytes(std::span(text))) : 0);
  return text;
}

TEST(S3Features, ACustomersKeyIsNeeded) {
  S3Settings& settings = world->settings();
  if (!world->server().url.starts_with("https")) {
    World::set(settings.sse, "AES256");
    World::set(settings.sse_c, std::string(32, 'k'));
    EXPECT_THROW(world->open(settings), Error) << "never in clear text";
    World::set(settings.sse, "");
    World::set(settings.sse_c, "");
    return;
  }
  World::set(settings.prefix, "s3://" + world->server().bucket + "/customer/of " + std::to_string(::getpid()));
  const auto without = world->open(settings);
  World::set(settings.sse, "AES256");
  World::set(settings.sse_c, std::string(32, 'k'));
  const auto store = world->open(settings);
  World::set(settings.sse_c, std::string(32, 'l'));
  const auto other = world->open(settings);
  World::set(settings.sse, "");
  World::set(settings.sse_c, "");
  const std::string text(std::size_t{6} << 20, 'x');
  store->put("small", bytes_of("1"), {}, {});
  const Upload upload = store->begin("big", {}, {});
  const std::vector<Part> parts{store->put_part(upload, {.number = 1}, bytes_of(text), {}),
                                store->put_part(upload, {.number = 2, .offset = text.size()}, bytes_of("tail"), {})};
  EXPECT_EQ(store->complete(upload, parts, {}).object.bytes, text.size() + 4);
  EXPECT_EQ(content(*store, "big"), text + "tail");
  EXPECT_EQ(store->stat("small", {})->bytes, 1U);
  EXPECT_THROW(content(*without, "small"), Error);
  EXPECT_THROW(content(*other, "small"), Error);
  const std::vector<std::string> all{"small", "big"};
  EXPECT_TRUE(store->remove(all, {}).empty());
}

}  // namespace
}  // namespace seawall::storage::s3

int main(int argc, char** argv) {
  using namespace seawall::storage::s3;
  testing::InitGoogleTest(&argc, argv);
  auto server = server_of_environment();
  if (!server) {
    std::cerr << "SEAWALL_TEST_S3 is needed: \"http://127.0.0.1:7480 KEY SECRET BUCKET [CA_FILE]\"\n";
    return 2;
  }
  try {
    world = std::make_unique<World>(std::move(*server));
  } catch (const seawall::Error& error) {
    std::cerr << error.what() << '\n';
    return 2;
  }
  const int result = RUN_ALL_TESTS();
  const auto honoured = world->put_if_absent();
  std::cout << "put-if-absent: "
            << (!honoured   ? "not found out"
                : *honoured ? "honoured"
                            : "ignored or refused")
            << '\n';
  world.reset();
  return result;
}
