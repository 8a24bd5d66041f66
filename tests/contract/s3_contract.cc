// The contract, run over a real S3 server: SEAWALL_TEST_S3="http://127.0.0.1:7480 KEY SECRET BUCKET [CA_FILE]". The
// bucket is made if it is not there. Not run by ctest: whoever has started a server runs it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <map>
#include <optional>
#include <sstream>

#include "base/clock.hh"
#include "base/error.hh"
#include "base/log.hh"
#include "contract/store_contract.hh"
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
    make_bucket();
    const config::Origin origin;
    settings_.endpoint.parse(server_.url, origin);
    settings_.force_path_style.parse("true", origin);
    settings_.ca_cert_file.parse(server_.ca_file, origin);
    settings_.prefix.parse("s3://" + server_.bucket + "/contract/of " + std::to_string(::getpid()), origin);
    newer_ = make_s3_store(settings_, lookup_of(server_), clock_, log_, cache());
    retried_ = with_retry(make_s3_store(settings_, lookup_of(server_), clock_, log_), {}, log_, clock_);
    settings_.use_list_objects_v1.parse("true", origin);
    settings_.delete_batch_size.parse("7", origin);
    older_ = make_s3_store(settings_, lookup_of(server_), clock_, log_);
  }
  Store& store(std::string_view name) { return name == "older" ? *older_ : name == "retried" ? *retried_ : *newer_; }
  std::optional<bool> put_if_absent() const { return honoured_; }

 private:
  void make_bucket() {
    http::Client client({.ca_file = server_.ca_file});
    http::Request request{.method = "PUT", .url = server_.url + "/" + server_.bucket};
    sign(request, {.access_key = server_.key, .secret_key = server_.secret}, "us-east-1", "s3", clock_.wall(),
         Payload::hashed);
    const int status = client.perform(request, {}).status;
    if (status != 200 && status != 409) throw Error(Errc::config, "no bucket: status " + std::to_string(status));
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

class S3Contract : public testing::TestWithParam<std::tuple<std::string, test::StoreCheck>> {};

TEST_P(S3Contract, holds) {
  const auto& [name, check] = GetParam();
  // Beside the checks of the other stores, and of odd letters.
  test::run_check(check, world->store(name), name + " +&/");
}

INSTANTIATE_TEST_SUITE_P(Every, S3Contract,
                         testing::Combine(testing::Values("newer", "older", "retried"),
                                          testing::ValuesIn(test::store_checks().begin(), test::store_checks().end())),
                         [](const auto& test) {
                           return std::get<0>(test.param) + "_" + std::string(std::get<1>(test.param).name);
                         });

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
