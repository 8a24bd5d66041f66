#include "config/envdir.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/error.hh"

namespace seawall::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class Envdir : public testing::Test {
 protected:
  Envdir() {
    std::string name = (std::filesystem::temp_directory_path() / "envdirXXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~Envdir() override { std::filesystem::remove_all(directory_); }
  void put(const std::string& name, std::string_view content) {
    std::ofstream(directory_ / name, std::ios::binary) << content;
  }
  std::string refused() {
    try {
      read_envdir(directory_);
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing was thrown";
  }
  std::filesystem::path directory_;
};

TEST_F(Envdir, ReadsAsDaemontoolsDo) {
  put("PLAIN", "value");
  put("LINES", "first \t \nsecond\n");
  put("NULS", std::string_view("a\0b\n", 4));
  put("UNSET", "");
  put("EMPTY", "\n");
  put(".hidden", "x");
  EXPECT_THAT(read_envdir(directory_), ElementsAre(Pair("EMPTY", ""), Pair("LINES", "first"), Pair("NULS", "a\nb"),
                                                   Pair("PLAIN", "value"), Pair("UNSET", std::nullopt)));
}

TEST_F(Envdir, NamesWhatItCannotTake) {
  put("A=B", "x");
  EXPECT_THAT(refused(), HasSubstr("A=B"));
  std::filesystem::remove(directory_ / "A=B");
  std::filesystem::create_directory(directory_ / "DIR");
  EXPECT_THAT(refused(), HasSubstr("DIR"));
  std::filesystem::remove_all(directory_);
  EXPECT_THAT(refused(), HasSubstr("--envdir"));
}

}  // namespace
}  // namespace seawall::config
