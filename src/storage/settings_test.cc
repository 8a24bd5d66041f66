#include "storage/settings.hh"

#include <gtest/gtest.h>

#include "config/sources.hh"

namespace seawall::storage {
namespace {

TEST(StorageSettings, defaults) {
  const StorageSettings settings;
  EXPECT_EQ(settings.file_prefix(), "");
  EXPECT_EQ(settings.storage_prefix(), "");
  EXPECT_EQ(settings.compression_method(), "lz4");
  EXPECT_EQ(settings.network_rate_limit(), 0u);
  EXPECT_EQ(settings.upload_memory().bytes, 128u << 20);
  EXPECT_EQ(settings.request_timeout(), std::chrono::minutes(5));
  EXPECT_EQ(settings.settings().size(), 7u);
}

TEST(StorageSettings, readTheirVariables) {
  const char* const environment[] = {"WALE_FILE_PREFIX=/old", "WALG_STORAGE_PREFIX=east/",
                                     "WALG_COMPRESSION_METHOD=none", "WALG_NETWORK_RATE_LIMIT=1048576", nullptr};
  config::Sources sources;
  sources.add_environment(environment);
  StorageSettings settings;
  sources.load(settings);
  EXPECT_EQ(settings.file_prefix(), "/old");
  EXPECT_EQ(settings.storage_prefix(), "east/");
  EXPECT_EQ(settings.compression_method(), "none");
  EXPECT_EQ(settings.network_rate_limit(), 1048576u);
}

}  // namespace
}  // namespace seawall::storage
