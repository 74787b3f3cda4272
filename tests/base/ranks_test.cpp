#include "medseg/base/ranks.h"

#include <cstdlib>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

/// Only these variables of launchers are set while it lives.
class Variables {
  public:
    explicit Variables(const std::map<std::string, std::string>& values) {
        for (const char* name : {"RANK", "WORLD_SIZE", "LOCAL_RANK", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                                 "OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID",
                                 "SLURM_STEP_NODELIST", "MASTER_ADDR", "MASTER_PORT", "MEDSEG_LAUNCHED"})
            ::unsetenv(name);
        for (const auto& [name, value] : values) ::setenv(name.c_str(), value.c_str(), 1);
        for (const auto& [name, value] : values) names_.push_back(name);
    }
    ~Variables() {
        for (const auto& name : names_) ::unsetenv(name.c_str());
    }

  private:
    std::vector<std::string> names_;
};

std::string refusal(const std::map<std::string, std::string>& values) {
    const Variables variables(values);
    try {
        rankFromEnvironment();
    } catch (const UsageError& error) {
        return error.what();
    }
    return "";
}

TEST(RankFromEnvironment, ReadsTorchrun) {
    const Variables variables({{"RANK", "5"},
                               {"WORLD_SIZE", "8"},
                               {"LOCAL_RANK", "1"},
                               {"MASTER_ADDR", "10.0.0.7"},
                               {"MASTER_PORT", "6789"}});
    const auto rank = rankFromEnvironment();
    ASSERT_TRUE(rank);
    EXPECT_EQ(rank->rank, 5);
    EXPECT_EQ(rank->size, 8);
    EXPECT_EQ(rank->localRank, 1);
    EXPECT_EQ(rank->address, "10.0.0.7");
    EXPECT_EQ(rank->port, 6789);
    EXPECT_FALSE(rank->launched);
}

TEST(RankFromEnvironment, ReadsSlurmSteps) {
    const Variables variables({{"SLURM_PROCID", "3"},
                               {"SLURM_STEP_NUM_TASKS", "4"},
                               {"SLURM_LOCALID", "1"},
                               {"SLURM_STEP_NODELIST", "node[07-08],login"}});
    const auto rank = rankFromEnvironment();
    ASSERT_TRUE(rank);
    EXPECT_EQ(rank->rank, 3);
    EXPECT_EQ(rank->size, 4);
    EXPECT_EQ(rank->address, "node07");
    EXPECT_EQ(rank->port, 29500);
}

TEST(RankFromEnvironment, ReadsOpenMpi) {
    const Variables variables({{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "2"}});
    const auto rank = rankFromEnvironment();
    ASSERT_TRUE(rank);
    EXPECT_EQ(rank->rank, 0);
    EXPECT_EQ(rank->size, 2);
    EXPECT_EQ(rank->address, "127.0.0.1");
}

TEST(RankFromEnvironment, OneProcessIsNoJob) {
    {
        const Variables none({});
        EXPECT_FALSE(rankFromEnvironment());
    }
    {
        const Variables one({{"RANK", "0"}, {"WORLD_SIZE", "1"}});
        EXPECT_FALSE(rankFromEnvironment());
    }
    const Variables batchScript({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}});
    EXPECT_FALSE(rankFromEnvironment());
}

TEST(RankFromEnvironment, NamesWhatIsWrong) {
    using ::testing::HasSubstr;
    EXPECT_THAT(refusal({{"RANK", "1"}}), HasSubstr("WORLD_SIZE is not"));
    EXPECT_THAT(refusal({{"RANK", "4"}, {"WORLD_SIZE", "4"}}), HasSubstr("RANK=4: must be a number from 0 to 3"));
    EXPECT_THAT(refusal({{"RANK", "x"}, {"WORLD_SIZE", "4"}}), HasSubstr("RANK=x"));
    EXPECT_THAT(refusal({{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_PORT", "70000"}}),
                HasSubstr("MASTER_PORT=70000"));
}

TEST(FirstNode, OfSlurmLists) {
    EXPECT_EQ(firstNode("alone"), "alone");
    EXPECT_EQ(firstNode("a,b[1-2]"), "a");
    EXPECT_EQ(firstNode("gpu[012,014-019]"), "gpu012");
    EXPECT_EQ(firstNode("rack[1-2].site,other"), "rack1.site");
}

}  // namespace
}  // namespace medseg
